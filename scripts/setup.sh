#!/bin/sh
# Build .venv from requirements.lock and install adabasis into it, editable.
# Called by `make setup`; $1 is the stamp written once everything is in place.
set -eu
cd "$(dirname "$0")/.."
stamp=$1
venv=.venv

fail() {
    printf 'make setup: %s\n' "$@" >&2
    exit 1
}

recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

# The first candidate that is recent enough and can build a virtual environment.
if [ -n "${PYTHON:-}" ]; then set -- "$PYTHON"; else set -- python3.13 python3.12 python3.11 python3; fi
python='' without_venv=''
for candidate; do
    recent "$candidate" || continue
    if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
        python=$candidate
        break
    fi
    without_venv=${without_venv:-$candidate}
done
if [ -z "$python" ] && [ -n "$without_venv" ]; then
    fail "$without_venv cannot create virtual environments: its venv or ensurepip is missing." \
        "On Debian and Ubuntu, install the package python3-venv, then run make setup again."
elif [ -z "$python" ]; then
    found=$("$candidate" --version 2>/dev/null) || found=missing
    fail "adabasis needs Python 3.11 or newer; '$candidate' is $found." \
        "Install one, or name one: make setup PYTHON=/path/to/python3.12"
fi

# The stamp goes first and comes back last: an interrupted setup is never taken for a whole one.
rm -f "$stamp"
if ! recent $venv/bin/python || ! $venv/bin/python -m pip --version >/dev/null 2>&1; then
    echo "Creating $venv with $("$python" --version)"
    "$python" -m venv --clear $venv
fi

pip() { $venv/bin/python -m pip --disable-pip-version-check --no-input "$@"; }
echo "Installing the locked packages (a few minutes the first time)"
pip install --quiet --require-hashes -r requirements.lock
pip install --quiet --no-deps --no-build-isolation -e .
pip check >/dev/null || {
    pip check >&2 || true
    fail "requirements.lock does not satisfy pyproject.toml; run make lock."
}
$venv/bin/python -m compileall -q src >/dev/null || true  # else the first command does it
touch "$stamp"
echo "Ready: $venv"
