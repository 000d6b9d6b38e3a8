#!/bin/sh
# Resolves the dependencies of pyproject.toml into hashed locks for every platform.
# The locks name no registry: whoever installs uses their own.  tools/lock.sh [--upgrade]
set -eu
cd "$(dirname "$0")/.."

export UV_SYSTEM_CERTS=1 UV_NO_CONFIG=1
lock() {
    .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-header --no-emit-index-url "$@"
}

lock requirements/bootstrap.in -o requirements/bootstrap.txt "$@"
lock requirements/node.in -o requirements/node.txt "$@"
lock pyproject.toml --extra ccxt --extra sandbox -o requirements/base.txt "$@"
lock pyproject.toml --extra ccxt --extra sandbox --group dev -c requirements/base.txt -o requirements/dev.txt "$@"
