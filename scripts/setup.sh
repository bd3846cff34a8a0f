#!/bin/sh
# Sets up .venv with the locked tools and our distributions, from Python 3.11+ alone; quick when nothing has changed.
# Another Python than the first one found: PYTHON=/path/to/python scripts/setup.sh
set -eu

root=$(dirname -- "$(dirname -- "$(readlink -f -- "$0")")")
cd "$root"
stamp=.venv/set-up-from

fail() {
    echo "wattpool: $1" >&2
    exit 2
}

# All that an environment depends on; a tree that was copied elsewhere needs a new one.
fingerprint() {
    cksum scripts/setup.sh requirements-bootstrap.lock requirements.lock pyproject.toml ./*/*/pyproject.toml \
        .venv/pyvenv.cfg
    echo "$root ${PYTHON:-}"
}

is_python() {
    "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

is_usable() {
    case $(.venv/bin/pip --version 2>/dev/null) in
        *" $root/.venv/"*) is_python .venv/bin/python ;;
        *) return 1 ;;
    esac
}

if [ -x .venv/bin/python ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(fingerprint)" ]; then
    exit 0
fi
rm -f "$stamp"

if [ -n "${PYTHON:-}" ] || ! is_usable; then
    if [ -n "${PYTHON:-}" ]; then
        is_python "$PYTHON" || fail "PYTHON=$PYTHON is no Python 3.11 or later with the modules venv and ensurepip"
        python=$PYTHON
    else
        python=
        for candidate in python3.13 python3.12 python3.11 python3; do
            if is_python "$candidate"; then
                python=$candidate
                break
            fi
        done
        [ -n "$python" ] || fail "Python 3.11 or later with the modules venv and ensurepip is missing"
    fi
    echo "wattpool: making .venv with $("$python" --version)" >&2
    "$python" -m venv --clear .venv || fail "the environment .venv could not be made"
fi

echo "wattpool: installing the locked packages into .venv" >&2
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock ||
    fail "uv could not be installed; is a package index within reach?"
scripts/uv.sh pip install --quiet --python .venv/bin/python --require-hashes -r requirements.lock ||
    fail "the locked packages could not be installed; is a package index within reach?"

set --
for project in ./*/*/pyproject.toml; do
    set -- "$@" --editable "${project%/pyproject.toml}"
done
scripts/uv.sh pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation "$@" ||
    fail "our own distributions could not be installed"

fingerprint >"$stamp"
