#!/bin/sh
# Try a release without publishing it: build the wheel and the sdist into build/release, install the
# wheel into an empty environment there, train, export and run, and write checksums.
#
#   tools/release.sh PYTHON TORCH
#
# PYTHON: of an environment with the tools. TORCH: cpu for torch's build for the CPU, or empty.
set -eu

python=$1
torch=$2
out=build/release
version=$("$python" -c 'import brf_lava; print(brf_lava.__version__)')
grep -q "^## $version" CHANGELOG.md || { echo "error: CHANGELOG.md has no section $version" >&2; exit 1; }
grep -q "^version: $version" CITATION.cff || { echo "error: CITATION.cff is not of version $version" >&2; exit 1; }
[ -z "$(git status --porcelain)" ] || { echo "error: commit or discard your changes first" >&2; exit 1; }

rm -rf "$out"
"$python" -m hatchling build -d "$out"
"$python" -m venv "$out/venv"
here=$out/venv/bin/python
if [ "$torch" = cpu ]; then # uv knows where torch keeps its builds for the CPU
    "$python" -m pip install -qq --disable-pip-version-check --constraint constraints.txt uv
    "$python" -m uv pip install --quiet --python "$here" --constraint constraints.txt \
        --torch-backend cpu --no-deps torch
fi
"$here" -m pip install -qq --constraint constraints.txt "$out"/*.whl
PIP_CONSTRAINT=$PWD/constraints.txt "$here" -m brf_lava install-lava

mkdir "$out/demo"
(
    cd "$out/demo" # not in the checkout: the wheel alone is used
    unset PYTHONPATH BRF_LAVA_DATA
    brf_lava=$OLDPWD/$out/venv/bin/brf-lava
    "$brf_lava" train --task ecg --epochs 5
    "$brf_lava" export model.pt net.h5
    "$brf_lava" run net.h5 --backend sim --json >run.json
    "$brf_lava" verify net.h5
)
(cd "$out" && sha256sum ./*.whl ./*.tar.gz >SHA256SUMS && cat SHA256SUMS)
echo "brf-lava $version can be released: $out. Nothing was published."
