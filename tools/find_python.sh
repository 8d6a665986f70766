#!/bin/sh
# Print the path of a Python that runs and is of one of the given versions, in order of preference.
#
#   tools/find_python.sh [--use COMMAND] VERSION...      e.g.  tools/find_python.sh 3.11 3.12
#
# --use COMMAND: take this one or fail; an empty COMMAND counts as none given.
# Every candidate is run before it is believed: a `python3.10` on PATH may be a pyenv shim for a
# version that is not selected, or a Debian Python without venv.

use=
if [ "$1" = --use ]; then
    use=$2
    shift 2
fi

# The real path of interpreter $1 if it runs, is version $2 and can make environments.
try() {
    "$1" -c '
import sys, venv, ensurepip
if "%d.%d" % sys.version_info[:2] != sys.argv[1]:
    sys.exit(1)
print(sys.executable)' "$2" 2>/dev/null
}

for version in "$@"; do
    if [ -n "$use" ]; then
        try "$use" "$version" && exit 0
        continue
    fi
    try "python$version" "$version" && exit 0
    if root=$(pyenv root 2>/dev/null); then
        for folder in "$root/versions/$version" "$root/versions/$version".*; do
            try "$folder/bin/python" "$version" && exit 0
        done
    fi
    if found=$(uv python find "$version" 2>/dev/null); then
        try "$found" "$version" && exit 0
    fi
done

wanted=$(echo "$@" | sed 's/ / or /g')
preferred=$1
if [ -n "$use" ]; then
    echo "error: '$use' does not run as Python $wanted with venv; name another one, or none to search." >&2
    exit 1
fi
if command -v uv >/dev/null 2>&1; then
    echo "No Python $wanted here: asking uv for $preferred ..." >&2
    if uv python install --quiet "$preferred" >&2 && found=$(uv python find "$preferred" 2>/dev/null); then
        try "$found" "$preferred" && exit 0
    fi
fi
echo "error: no Python $wanted found. Install it ('pyenv install $preferred', 'uv python install $preferred', or your system's python$preferred with its venv package) or name one: the Makefile's first lines say how." >&2
exit 1
