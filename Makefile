# make demo      one automated call, end to end, on loopback
# make test      the test suite (sets everything up on a fresh machine)
# make lint      ruff, mypy, import-linter
# make interop   telephones that this project did not write (skips what is not installed); writes docs/interop.md
# make bench     how fast keys are decoded and lines ticked, as ratios against a peer of the same run; replays
# make soak      ten thousand random calls on the virtual clock, a day of speech and music without keys (1.7 GB of
#                Debian packages the first time), the standards' tables over five seeds, 200 amounts heard in noise,
#                100,000 hostile datagrams, two hours of telephone calls
# make flake     the tests with real calls, 20 times
# make docs      docs/dialogue.md and docs/transactions.md, anew from the code
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lint format interop bench soak flake docs prompts setup clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "python3 is missing: install Python 3.11 or later (Debian: apt install python3 python3-venv)"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed; $(PYTHON) is `$(PYTHON) -V`. Try: make PYTHON=python3.12 ..."; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv is missing (Debian: apt install python3-venv)"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

demo: $(STAMP)
	$(BIN)/ivr-sim demo

test: $(STAMP)
	$(BIN)/python -m pytest -n 5 --dist loadfile --no-loadscope-reorder -q --ignore tests/interop

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

interop: $(STAMP)
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[interop]'
	IVR_SIM_INTEROP_REPORT=$(CURDIR)/docs/interop.md $(BIN)/python -m pytest -n 3 --dist loadfile -q -m interop tests/interop tests/sip

bench: $(STAMP)
	for b in benchmarks/dtmf_*.py benchmarks/media_*.py benchmarks/replay.py; do echo "== $$b"; $(BIN)/python $$b || exit 1; done

soak: $(STAMP)
	$(BIN)/python -m tests.dialogue.random_calls --calls 10000
	if sh benchmarks/corpora.sh; then $(BIN)/python benchmarks/talkoff.py; fi
	$(BIN)/dtmf grid --seeds 5
	$(BIN)/python benchmarks/hearing.py
	$(BIN)/python benchmarks/fuzz.py
	$(BIN)/python benchmarks/load --calls 40 --rate 10 --total 2500 --hold 2.5 --digits 4 --rounds 24

flake: $(STAMP)
	for n in `seq 20`; do $(BIN)/python -m pytest -q -m sip --ignore tests/interop || exit 1; done

prompts: $(STAMP)
	$(BIN)/python -m ivr_sim.prompts.build

docs: $(STAMP)
	$(BIN)/python -m tests.dialogue.test_table
	$(BIN)/python -m tests.sip.test_transaction_page

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
