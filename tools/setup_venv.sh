#!/bin/sh
# Make or bring up to date a virtual environment with brf-lava (editable) and the developer tools.
#
#   tools/setup_venv.sh FOLDER PYTHON VERSION...
#
# PYTHON: make FOLDER anew with this interpreter. If empty, a FOLDER that works is brought up to date,
# and else a Python of one of the VERSIONs is searched for. Run from the root of the repository.
set -eu

folder=$1
python=$2
shift 2

rm -f "$folder/ready"
here=$folder/bin/python
if [ -z "$python" ] && tools/find_python.sh --use "$here" "$@" >/dev/null 2>&1 && "$here" -m pip --version >/dev/null 2>&1; then
    echo "Bringing $folder up to date ..."
else
    base=$(tools/find_python.sh --use "$python" "$@")
    version=$("$base" -c 'import platform; print(platform.python_version())')
    echo "Setting up $folder with Python $version (downloads about 2.5 GB of packages the first time) ..."
    "$base" -m venv --clear "$folder"
fi
"$here" -m pip install -qq --disable-pip-version-check \
    --constraint constraints.txt --editable '.[dev]'
echo "$folder is ready."
