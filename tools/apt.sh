#!/usr/bin/env bash
# Installs those of the named Debian packages that are missing. Does nothing, quickly, when all are there.
set -euo pipefail
missing=()
for package in "$@"; do
    if [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
        missing+=("$package")
    fi
done
[ ${#missing[@]} -gt 0 ] || exit 0

cannot() {
    echo "Cannot install ${missing[*]}: $1." >&2
    echo "Install it by other means and run again with NO_APT=1 (tests that do not find what they drive are skipped)." >&2
    exit 1
}
command -v apt-get >/dev/null || cannot 'there is no apt-get here'
as_root=()
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || cannot 'you are not root and there is no sudo'
    as_root=(sudo)
fi
echo "Installing Debian packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
get() { "${as_root[@]}" apt-get -qq -o Dpkg::Use-Pty=0 "$@" >"$log" 2>&1; }
# The list of packages may be missing or old: fetch it only when the first try says so.
if ! get install --yes --no-install-recommends "${missing[@]}"; then
    get update || { cat "$log" >&2; cannot 'apt-get update failed'; }
    get install --yes --no-install-recommends "${missing[@]}" || { cat "$log" >&2; cannot 'apt-get install failed'; }
fi
