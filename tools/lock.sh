#!/usr/bin/env bash
# Writes requirements/*.txt from requirements/*.in: every version and hash, for all systems and Pythons we support, and no address.
# Keeps the versions that are locked already; `tools/lock.sh --upgrade` takes the newest that fit.
set -euo pipefail
uv=$PWD/.venv/bin/uv
cd requirements
for name in tools dev mlflow3 mlflow2 frameworks; do
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
        --no-header "$@" "$name.in" --output-file "$name.txt"
    echo "requirements/$name.txt: $(grep -c '==' "$name.txt") packages"
done
if grep -n '://' -- *.txt; then
    echo 'An address has come into a lock: locks name packages and hashes only.' >&2
    exit 1
fi
