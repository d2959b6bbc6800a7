#!/usr/bin/env bash
# Makes .venv-peer with PyTorch and MONAI, for `make bench-train` and `make bench-infer`: what ours is
# compared with has no place in .venv. Run again, it does nothing. PIP_INDEX_URL chooses another build
# than the default one.
set -euo pipefail
cd "$(dirname "$0")/.."

stamp=.venv-peer/.installed-$(sha256sum "$0" | cut -c1-16)
[[ -f $stamp ]] && exit 0
python3 -c "import sys; sys.exit(sys.version_info < (3, 10))" \
  || { echo "PyTorch needs a python3 of 3.10 or newer on the PATH" >&2; exit 1; }
python3 -m venv --clear .venv-peer
.venv-peer/bin/python -m pip install --quiet torch==2.13.0 monai==1.6.1 numpy
touch "$stamp"
