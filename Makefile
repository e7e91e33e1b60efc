# Two commands on a fresh machine with Python 3.11 to 3.13 and make:
#   make demo   sets up everything and runs the main job on a synthetic corpus
#   make test   sets up everything and passes the tests
PYTHON ?= python3
BIN := .venv/bin
UV_VERSION := 0.13.8

.DEFAULT_GOAL := help
.PHONY: help setup demo test check fuzz kill faults mutants members structure losses tables lock benchmark peers gpu-check gpu-experiments clean

help:
	@echo "make demo       the main job on a synthetic corpus, in minutes; results in runs/demo"
	@echo "make test       the tests"
	@echo "make check      lint, types, import contracts, tables in READMEs, equivalent hours, manifests of recipes that are there"
	@echo "make fuzz       3,000 spoilt inputs: each is read, or refused with a message"
	@echo "make kill       100 runs stopped on the way: each ends as if it had not been"
	@echo "make faults     inputs that failed once, in the folder FAULTS"
	@echo "make mutants    faults planted one at a time in the package: each must fail a test"
	@echo "make members    adds a toy encoder, decoder, ... to a copy and counts the files each takes: tests/members/members.md"
	@echo "make structure  counts modules, lines, and files on an utterance's way: benchmarks/structure.md"
	@echo "make losses     trains recipes/synthetic: the same seed gives the losses in benchmarks/same_losses.json"
	@echo "make setup      only the virtual environment .venv, from requirements.lock"
	@echo "make tables     writes the tables in READMEs anew from their JSON"
	@echo "make lock       pins all packages anew"
	@echo "make benchmark  speed beside PyTorch, in one run"
	@echo "make peers      speed and memory beside SpeechBrain, TensorFlowASR and others, each in its own environment"
	@echo "make gpu-check  a training step on a GPU under JAX, beside PyTorch where that is installed: a few minutes"
	@echo "make gpu-experiments  the trainings of LIST side by side on one GPU, under JAX"

setup: .venv/complete

.venv/complete: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "Expected Python 3.11 to 3.13, for which there is a TensorFlow; received $$($(PYTHON) --version)." \
	  "Name another one: make PYTHON=python3.13 ..." >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --allow-empty-requirements requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@# A first start writes byte code, also where the environment forbids it: without, each one takes seconds more.
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -c 'from speech_mtl.backend import load_backend; load_backend()'
	PYTHONDONTWRITEBYTECODE= $(BIN)/speech-mtl --help >/dev/null
	touch $@

demo: setup
	recipes/synthetic/prepare.sh
	$(BIN)/speech-mtl compare recipes/synthetic compare.budgets_min='[1, 4]' compare.seeds='[0]' \
	  compare.arms='[alone, pretrain_finetune]' --jobs 2 --out runs/demo

test: setup
	$(BIN)/python -m pytest -n auto

check: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/python -m benchmarks.readmes --check
	$(BIN)/speech-mtl data validate recipes/*/ --if-there --no-audio --most 1

fuzz: setup
	$(BIN)/python tests/fuzz --number 3000 --out tests/fuzz/results.md

kill: setup
	$(BIN)/python tests/kill --number 100 --out tests/kill/results.md

faults: setup
	$(BIN)/python -m pytest -n auto -m faults tests/faults --faults-out tests/faults/results.md

mutants: setup
	$(BIN)/python tests/mutants --out tests/mutants/results.md

members: setup
	$(BIN)/python tests/members --out tests/members/members.json

structure: setup
	$(BIN)/python -m benchmarks.structure

losses: setup
	recipes/synthetic/prepare.sh
	$(BIN)/python -m benchmarks.same_losses

tables: setup
	$(BIN)/python -m benchmarks.readmes

lock:
	test -x $(BIN)/uv || (test -x $(BIN)/python || $(PYTHON) -m venv .venv; $(BIN)/python -m pip install --quiet uv==$(UV_VERSION))
	$(BIN)/uv pip compile pyproject.toml --quiet --universal --extra tensorflow --extra corpora --extra ray --extra tune --extra hub --extra export \
	  --extra demo --extra segments --extra annotation --extra subwords --extra phones --extra rooms --extra stores --group dev \
	  --generate-hashes --no-annotate --custom-compile-command "make lock" --upgrade --output-file requirements.lock

benchmark: setup
	$(BIN)/python -m pip install --quiet --requirement benchmarks/requirements.txt
	$(BIN)/python -m benchmarks.train_step
	$(BIN)/python -m benchmarks.number_of_languages
	$(BIN)/python -m benchmarks.significance
	$(BIN)/python -m benchmarks.prediction
	$(BIN)/python -m benchmarks.weighting

# Python 3.11 and 3.12 have to be found; the environments take 13 GB in .peers.
peers: setup
	$(BIN)/python -m benchmarks.peers

gpu-check: setup
	$(BIN)/uv pip install --quiet --python $(BIN)/python 'jax[cuda13]'
	KERAS_BACKEND=jax XLA_PYTHON_CLIENT_PREALLOCATE=false $(BIN)/python -m benchmarks.gpu_check

LIST ?= benchmarks/gpu_experiments.yaml
gpu-experiments: setup
	$(BIN)/uv pip install --quiet --python $(BIN)/python 'jax[cuda13]'
	KERAS_BACKEND=jax $(BIN)/python -m benchmarks.side_by_side $(LIST)

clean:
	rm -rf .venv .peers
