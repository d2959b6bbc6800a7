#!/usr/bin/env bash
# Makes .venv from requirements.lock, with the Python that the lock is for. Run again, it does nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

python_version=3.10
uv_version=0.13.8
stamp=.venv/.installed-$(cat requirements.lock setup.py "$0" | sha256sum | cut -c1-16)
[[ -f $stamp ]] && exit 0

works() { "$1" -c "import sys, venv; sys.exit(sys.version_info[:2] != (${python_version/./, }))" 2>/dev/null; }

# A local interpreter: on the PATH, pyenv's (its shim on the PATH may fail), or one that uv knows.
find_python() {
  local candidate
  for candidate in \
    "${UNET_TFX_PYTHON:-}" \
    "$(command -v python$python_version || true)" \
    "$(pyenv prefix $python_version 2>/dev/null || true)/bin/python" \
    "$(ls -d "${PYENV_ROOT:-$HOME/.pyenv}"/versions/$python_version.*/bin/python 2>/dev/null | tail -1 || true)" \
    "$(uv python find --no-python-downloads $python_version 2>/dev/null || true)"; do
    if [[ -n $candidate ]] && works "$candidate"; then echo "$candidate"; return; fi
  done
}

# uv installs from the lock in a minute, pip in several. It lives in a venv of its own.
find_uv() {
  if command -v uv >/dev/null; then command -v uv; return; fi
  local any_python
  any_python=$(find_python); any_python=${any_python:-$(command -v python3 || true)}
  [[ -n $any_python ]] || { echo "no python3 here: install it first" >&2; exit 1; }
  if [[ ! -x .venv-uv/bin/uv ]]; then
    "$any_python" -m venv .venv-uv >&2 \
      || { echo "cannot make a venv with $any_python: install its venv module (Debian: apt-get install python3-venv)" >&2; exit 1; }
    .venv-uv/bin/python -m pip install --quiet "uv==$uv_version" >&2 \
      || { echo "cannot install uv: look at the message above, or put uv on the PATH" >&2; exit 1; }
  fi
  echo "$PWD/.venv-uv/bin/uv"
}

uv=$(find_uv) || exit 1
python=$(find_python)
if [[ -z $python ]]; then
  echo "no Python $python_version here: downloading one"
  "$uv" python install $python_version \
    || { echo "no Python $python_version and no download: install it and call again, or set UNET_TFX_PYTHON to its path" >&2; exit 1; }
  python=$("$uv" python find $python_version)
fi

echo "making .venv with $python"
rm -f .venv/.installed-*
[[ -x .venv/bin/python ]] && works .venv/bin/python || "$uv" venv --quiet --clear --python "$python" .venv
export VIRTUAL_ENV=$PWD/.venv
# Compiled here once: where PYTHONDONTWRITEBYTECODE is set, every process would do it again, up to a minute for TFX.
"$uv" pip sync --quiet --compile-bytecode --require-hashes requirements.lock
"$uv" pip install --quiet --no-deps --editable .
touch "$stamp"
echo "ready: .venv/bin/unet-tfx --help"
