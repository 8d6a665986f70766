#!/bin/sh
# Make or bring up to date a virtual environment with brf-lava (editable), Lava and the tools.
#
#   tools/setup_venv.sh FOLDER PYTHON TORCH
#
# PYTHON: make FOLDER anew with this interpreter. If empty, a FOLDER that works is brought up to
# date; otherwise the newest Python from 3.10 to 3.13 that is found is used.
# TORCH: cpu for torch's build for the CPU. If empty, pip decides; on Linux that is a CUDA build.
# Run from the root of the repository.
set -eu

folder=$1
python=$2
torch=$3
versions='3.13 3.12 3.11 3.10'

case $torch in
    '' | cpu) ;;
    *) echo "error: TORCH=$torch; must be cpu, or left out for pip's choice." >&2 && exit 2 ;;
esac

rm -f "$folder/ready"
here=$folder/bin/python
# shellcheck disable=SC2086  # one word each
if [ -z "$python" ] && tools/find_python.sh --use "$here" $versions >/dev/null 2>&1 && "$here" -m pip --version >/dev/null 2>&1; then
    echo "Bringing $folder up to date ..."
else
    base=$(tools/find_python.sh --use "$python" $versions)
    version=$("$base" -c 'import platform; print(platform.python_version())')
    echo "Setting up $folder with Python $version."
    if [ "$torch" = cpu ]; then
        echo "The first time this downloads about 0.8 GB and takes 2.7 GB on disk."
    else
        echo "The first time this downloads about 3 GB and takes 6 GB on disk, most of it for CUDA;"
        echo "'make clean setup TORCH=cpu' takes torch for the CPU: 2.7 GB."
    fi
    "$base" -m venv --clear "$folder"
fi
# Pinned, too: pip itself, and what builds the package, which a build in isolation would choose anew.
"$here" -m pip install -qq --disable-pip-version-check --upgrade --constraint constraints.txt \
    pip setuptools hatchling
if [ "$torch" = cpu ]; then # uv knows where torch keeps its builds for the CPU
    builds=torch
    "$here" -c 'import sys; sys.exit(sys.version_info >= (3, 11))' && builds='torch torchvision' # lava-dl
    "$here" -m pip install -qq --disable-pip-version-check --constraint constraints.txt uv
    # shellcheck disable=SC2086  # one word each
    "$here" -m uv pip install --quiet --python "$here" --constraint constraints.txt \
        --torch-backend cpu --no-deps $builds || {
        echo "error: torch's builds for the CPU could not be had. 'make setup' takes pip's choice." >&2
        exit 1
    }
fi
"$here" -m pip install -qq --disable-pip-version-check \
    --constraint constraints.txt --no-build-isolation --editable '.[dev]'
PIP_CONSTRAINT=$PWD/constraints.txt PIP_QUIET=2 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    "$here" -m brf_lava install-lava
echo "$folder is ready."
