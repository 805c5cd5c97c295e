#!/bin/bash
# Run the tests of the engines against the real libdnf5: `make test-libdnf5`, with root's rights.
#
# No package registry has libdnf5, so a small Debian that has it is unpacked once into build/libdnf5, and the tests run
# inside, in a copy of this tree. What is given as arguments goes to pytest.
set -euo pipefail

here=$(cd "$(dirname "$0")/../.." && pwd -P)
folder=$here/build/libdnf5
root=$folder/root
suite=${LIBDNF5_SUITE:-forky}
packages=ca-certificates,python3,python3-venv,python3-libdnf5,rpm-common
python=$here/.venv/bin/python

fail() {
    echo "test-libdnf5: $*" >&2
    exit 1
}

# Debian's mirror, as apt on this machine knows it.
mirror() {
    if [ -n "${LIBDNF5_MIRROR:-}" ]; then
        echo "$LIBDNF5_MIRROR"
    else
        apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
            awk '$1 == "Debian" { print $2; exit }'
    fi
}

install_debootstrap() {
    command -v debootstrap >/dev/null && return
    command -v apt-get >/dev/null || fail "debootstrap is missing: install it with this system's package manager"
    echo "Installing debootstrap"
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends debootstrap; } \
        >/dev/null || fail "debootstrap cannot be installed"
}

make_root() {
    local stamp="$suite $packages" from script
    [ "$(cat "$root/.ready" 2>/dev/null)" = "$stamp" ] && return
    install_debootstrap
    from=$(mirror)
    [ -n "$from" ] || fail "apt knows no mirror of Debian here: name one in LIBDNF5_MIRROR"
    # Older debootstraps do not know the suite; all of its scripts for Debian are the same.
    script=/usr/share/debootstrap/scripts/$suite
    [ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
    echo "Unpacking Debian $suite into $root (minutes)"
    rm -rf "$root"
    mkdir -p "$folder"
    debootstrap --variant=minbase --include="$packages" "$suite" "$root" "$from" "$script" >"$folder/debootstrap.log" 2>&1 ||
        fail "Debian $suite cannot be unpacked; the end of $folder/debootstrap.log: $(tail -n 3 "$folder/debootstrap.log")"
    rm -rf "$root/var/cache/apt/archives" "$root/var/lib/apt/lists"
    printf %s "$stamp" >"$root/.ready"
}

# The wheels are fetched from outside, where certificates and registries are known, for the Python inside.
make_environment() {
    local lock version
    lock=$(sha256sum <"$here/requirements.lock")
    [ "$(cat "$root/venv/.ready" 2>/dev/null)" = "$lock" ] && return
    "$python" -m uv --version >/dev/null 2>&1 || fail "uv is missing in .venv: run make setup where it can be fetched"
    version=$(chroot "$root" python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "Installing what requirements.lock names for Python $version"
    rm -rf "$root/venv"
    chroot "$root" python3 -m venv --without-pip --system-site-packages /venv
    "$python" -m uv pip install -q --target "$root/venv/lib/python$version/site-packages" --python-version "$version" \
        --python-platform "$(uname -m)-manylinux_2_40" --no-deps --require-hashes -r "$here/requirements.lock" ||
        fail "not all that requirements.lock names can be had for Python $version"
    printf %s "$lock" >"$root/venv/.ready"
}

copy_tree() {
    rm -rf "$root/work"
    mkdir -p "$root/work/koschei" "$root/work/shared"
    tar -C "$here" --exclude=__pycache__ --exclude=demo/.run -c admin backend bench demo frontend koschei \
        migrations tests pyproject.toml | tar -C "$root/work/koschei" -x
    if [ -d "$here/../shared/data" ]; then cp -r "$here/../shared/data" "$root/work/shared/"; fi
}

leave() {
    ! mountpoint -q "$root/proc" || umount "$root/proc"
}

[ "$(id -u)" = 0 ] || fail "only root can unpack a Debian and run something inside: run it with sudo, or in a container"
leave
make_root
make_environment
copy_tree
trap leave EXIT
mount -t proc proc "$root/proc" 2>/dev/null || echo "test-libdnf5: there is no /proc inside; libdnf5 has been seen to do without"
chroot "$root" env -i PATH=/venv/bin:/usr/bin:/bin HOME=/root LC_ALL=C.UTF-8 ${CI:+CI="$CI"} KOSCHEI_TEST_ENGINES=libdnf5 \
    sh -c 'cd /work/koschei && exec python -m pytest "$@"' pytest tests/depsolve/test_engine_contract.py \
    tests/depsolve/test_engine_agreement.py tests/depsolve/test_engine_comparison.py \
    tests/depsolve/test_expected_answers.py "$@"
