#!/bin/sh
# uv of .venv with the package index that pip is configured for, which uv does not look up by itself.
# Variables that uv knows (UV_DEFAULT_INDEX and the like) come first.
set -eu

root=$(dirname -- "$(dirname -- "$(readlink -f -- "$0")")")
settings=$("$root/.venv/bin/python" -m pip --disable-pip-version-check config list)

# The environment is listed before the files and goes before them; several values stand on one line.
setting() {
    printf '%s\n' "$settings" | sed -n "s/^[^=]*\.$1='\(.*\)'\$/\1/p" | head -n 1 | sed 's/\\n/ /g'
}

index=$(setting index-url)
extra=$(setting extra-index-url)
links=$(setting find-links | tr ' ' ,)
cert=$(setting cert)
if [ -n "$index" ] && [ -z "${UV_INDEX_URL:-}" ]; then
    export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}"
fi
if [ -n "$extra" ]; then
    # As pip does it: any index may hold a version. The lock's hashes say which file is meant.
    export UV_INDEX="${UV_INDEX:-$extra}" UV_INDEX_STRATEGY="${UV_INDEX_STRATEGY:-unsafe-best-match}"
fi
if [ -n "$links" ]; then
    export UV_FIND_LINKS="${UV_FIND_LINKS:-$links}"
fi
if [ -n "$cert" ]; then
    export SSL_CERT_FILE="${SSL_CERT_FILE:-$cert}"
fi
exec "$root/.venv/bin/uv" "$@"
