#!/bin/sh
# Sees to what the image needs from the distribution, because no wheel has it: Python itself, libdnf5 (the package
# manager's own resolution), Kerberos (to log in to Koji with a keytab) and psql (`koschei-admin psql`, `oc rsh`).
# Installs it where there is Fedora's package manager and something is missing; anywhere else the base has to bring it.
set -eu

missing() {
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || echo "python3"
    for module in libdnf5 gssapi; do
        python3 -c "import $module" 2>/dev/null || echo "python3-$module"
    done
    psql --version >/dev/null 2>&1 || echo "postgresql"
}

wanted=$(missing)
[ -n "$wanted" ] || exit 0

manager=
for name in dnf dnf5 microdnf; do
    if command -v "$name" >/dev/null; then manager=$name; break; fi
done
if [ -n "$manager" ]; then
    # shellcheck disable=SC2086 # package names, one word each
    "$manager" -y --setopt=install_weak_deps=False --setopt=tsflags=nodocs install $wanted
    "$manager" -y clean all
    wanted=$(missing)
fi
if [ -n "$wanted" ]; then
    # shellcheck disable=SC2086
    echo "the base image lacks (named as in Fedora):" $wanted >&2
    exit 1
fi
