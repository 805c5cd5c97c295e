#!/bin/sh
# Makes below /image what goes into the image: /opt/koschei, a Python environment of the wheels in the folder $1 that
# also sees the distribution's own modules (libdnf5, gssapi), and what people look for in /usr/share/koschei.
set -eu
wheelhouse=$1
recipe=$(dirname "$0")

have=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
made=$(cat "$wheelhouse/python-version")
if [ "$have" != "$made" ]; then
    echo "the wheels are for Python $made and the base image has $have: make wheelhouse IMAGE_PYTHON=$have" >&2
    exit 1
fi

python3 -m venv --without-pip --system-site-packages /opt/koschei
# pip runs from its wheel and is not installed. What the distribution has of the same name is not what was tested:
# --ignore-installed.
pip=$(echo "$wheelhouse"/tools/pip-*.whl)
/opt/koschei/bin/python "$pip/pip" install --quiet --no-cache-dir --no-index \
    --find-links "$wheelhouse" --require-hashes --no-deps --ignore-installed --no-compile --no-warn-script-location \
    --disable-pip-version-check --root-user-action ignore --requirement "$wheelhouse/requirements.txt"
# What an image for running has no use for: libraries' own tests, and programs that come with them.
cd /opt/koschei
find lib -depth -type d \( -name test -o -name tests \) -path '*/site-packages/*' -exec rm -r {} +
find bin ! -type d ! -name 'koschei-*' ! -name koji ! -name 'python*' -delete
# The root is read-only later, so compiled now; checked by nobody, so that neither times nor the order of sets show.
PYTHONHASHSEED=0 /opt/koschei/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/koschei/lib

mkdir -p /image/opt /image/usr/share/koschei /image/etc/koschei /image/var/cache/koschei
mv /opt/koschei /image/opt/
python3 "$recipe/distribution.py" "$wheelhouse/sbom.cdx.json" > /image/usr/share/koschei/sbom.cdx.json
cp "$recipe/roles.txt" /image/usr/share/koschei/
# For group 0, which any user of OpenShift's is in, when nothing is mounted there.
chmod 2775 /image/var/cache/koschei
