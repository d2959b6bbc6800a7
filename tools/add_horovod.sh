#!/usr/bin/env bash
# Builds Horovod against the TensorFlow in .venv, with Gloo, and installs it there: some minutes.
# Needs a C++ compiler. Run again, it does nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

[[ -x .venv/bin/python ]] || { echo "there is no .venv yet: run 'make setup' first" >&2; exit 1; }
.venv/bin/python -c "import importlib.util as u, sys; sys.exit(u.find_spec('horovod') is None)" && exit 0
command -v c++ >/dev/null || { echo "there is no C++ compiler: install one (Debian: apt-get install g++)" >&2; exit 1; }
uv=$(command -v uv || echo "$PWD/.venv-uv/bin/uv")

# Horovod's build is of its time: it needs an older setuptools and CMake, which stay out of .venv.
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
export VIRTUAL_ENV=$PWD/.venv
"$uv" pip install --quiet --target "$build" "setuptools<70" wheel "cmake<4"
export PYTHONPATH=$build PATH=$build/bin:$PATH
export HOROVOD_WITH_TENSORFLOW=1 HOROVOD_WITHOUT_PYTORCH=1 HOROVOD_WITHOUT_MXNET=1
export HOROVOD_WITHOUT_MPI=1 HOROVOD_WITH_GLOO=1 HOROVOD_CPU_OPERATIONS=GLOO
"$uv" pip install --no-build-isolation --no-deps "horovod==0.28.1"
unset PYTHONPATH
"$uv" pip install --quiet psutil cloudpickle pyyaml packaging  # what it imports
.venv/bin/python -c "import horovod.tensorflow" 2>/dev/null || { echo "Horovod was built and cannot be imported: see 'python -c \"import horovod.tensorflow\"'" >&2; exit 1; }
echo "ready: --trainer.strategy horovod --trainer.workers 2, or horovodrun -np 2 python -m trainer"
