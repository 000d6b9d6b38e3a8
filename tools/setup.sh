#!/bin/sh
# Makes .venv and puts into it exactly what the locks name. Called by Make: tools/setup.sh base|dev
#
#   base  what `make demo` needs          dev  base and what `make test` and `make check` need
#
# Needs Python 3.11 or newer with venv, and the package registries of Python and npm. Writes only into .venv and the
# caches of pip and uv. A second run with nothing to do is not even started by Make.
set -eu
cd "$(dirname "$0")/.."

profile=${1:?usage: tools/setup.sh base|dev}
python=${PYTHON:-python3}
venv=.venv

refuse() {
    printf 'poolmaker set-up: %s\n' "$1" >&2
    exit 2
}

command -v "$python" >/dev/null 2>&1 ||
    refuse "there is no '$python' here; install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    refuse "$("$python" --version 2>&1) is too old; install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3"

# A home that is missing or cannot be written must not stop anybody: then the caches live in .venv.
if [ -z "${HOME:-}" ] || [ ! -w "$HOME" ]; then
    export UV_CACHE_DIR="$PWD/$venv/.cache/uv" PIP_NO_CACHE_DIR=1
fi
export UV_SYSTEM_CERTS=1 UV_COMPILE_BYTECODE=1 UV_NO_CONFIG=1 PIP_DISABLE_PIP_VERSION_CHECK=1
unset VIRTUAL_ENV PYTHONHOME PYTHONPATH || true

# An environment remembers where it was made; after a move of the checkout it is made anew.
here=$(pwd -P)
if [ "$(cat "$venv/.checkout" 2>/dev/null || echo "$here")" != "$here" ] ||
    ! "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "set-up: making $venv with $("$python" --version 2>&1)"
    "$python" -m venv --clear "$venv" ||
        refuse "'$python -m venv' failed; on Debian and Ubuntu run: apt-get install python3-venv"
    printf '%s\n' "$here" >"$venv/.checkout"
fi

echo "set-up: installing what requirements/$profile.txt names"
"$venv/bin/python" -m pip install --quiet --no-input --require-hashes --no-deps \
    -r requirements/bootstrap.txt
uv="$venv/bin/uv --quiet --no-progress"
$uv pip install --python "$venv/bin/python" --require-hashes --no-deps -r "requirements/$profile.txt"
$uv pip install --python "$venv/bin/python" --no-deps --no-build-isolation --no-index --editable .

# The sandbox chain needs node: the machine's own where it is new enough, else one in .venv.
own_node() {
    command -v npm >/dev/null 2>&1 &&
        node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20)' 2>/dev/null
}
if ! own_node; then
    $uv pip install --python "$venv/bin/python" --require-hashes --no-deps -r requirements/node.txt
fi
# Without these only the sandbox chain cannot start, and it says so; everything else goes on.
"$venv/bin/python" -m poolmaker.sandbox.chain.packages || true

touch "$venv/.base"
[ "$profile" = base ] || touch "$venv/.dev"
