PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest -n 2 --no-loadscope-reorder
CLI := .venv/bin/unet-tfx

.PHONY: setup demo test test-fast lint types bench bench-data bench-train bench-infer clean-demo

setup:            ## make .venv from the lock; does nothing where it is made
	@tools/make_venv.sh

demo: setup demo/data/brats demo/data/dagm  ## both demo recipes, from synthetic cases to pushed models
	$(CLI) run --recipe brats-demo
	$(CLI) run --recipe dagm-demo

demo/data/brats: | setup
	@rm -rf $@.partial
	$(CLI) synth brats $@.partial --cases 18 --shape 48 48 40 --unequal --graded --seed 1
	@mv $@.partial $@

demo/data/dagm: | setup
	@rm -rf $@.partial
	$(CLI) synth dagm $@.partial --cases 24 --seed 1
	@mv $@.partial $@

test: setup       ## the whole suite
	$(PYTEST)

test-fast: setup  ## what takes seconds
	$(PYTEST) -m "not slow and not e2e and not distributed and not horovod"

lint: setup
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

types: setup
	$(PYTHON) -m mypy

bench: setup      ## how fast the parts are on this machine, as JSON
	PYTHONPATH=. $(PYTHON) -W ignore tests/bench.py

bench-data: setup ## raw files -> records -> crops against the reference procedure, as JSON (10 min)
	PYTHONPATH=. $(PYTHON) -W ignore tests/bench_data.py

bench-train: setup  ## training steps and forward passes of ours and of plain PyTorch, as JSON (25 min)
	@tools/make_peer_venv.sh
	PYTHONPATH=. $(PYTHON) -W ignore tests/bench_train.py

bench-infer: setup  ## a whole case by ours and by MONAI's sliding window on PyTorch, as JSON (30 min)
	@tools/make_peer_venv.sh
	PYTHONPATH=. $(PYTHON) -W ignore tests/bench_infer.py

clean-demo:       ## remove what `make demo` made
	rm -rf demo
