# Each target makes the virtual environment that it needs, once, with nothing but Python and pip.

PYTHON  ?= python3
# The wheel to test, instead of this checkout.
WHEEL   ?=
# Most tests wait for a program, so that there may be more of them than cores.
WORKERS ?= 4
# More arguments for pytest: make test ARGS="-k sigterm -x"
ARGS    ?=
# Whether `make test-servers` installs what is large, and runs it; what is there it runs in any case.
HEAVY   ?=
# Which ASGI, WSGI or RSGI application and which Granian `make demo` takes.
INTERFACE ?= asgi
GRANIAN   ?=
export INTERFACE GRANIAN

VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d.%d" % sys.version_info[:3] + sys.abiflags)')
$(if $(VERSION),,$(error $(PYTHON) is not a Python that runs; say which: make PYTHON=python3.13))
VENV    ?= .venv-$(VERSION)
TESTED  := --group light-clients --group servers --group loops
# A free-threaded Python has no gevent, aiokafka gives it a GIL, and the workers of Granian are threads
# there; for that of 3.13 there is less. Their tests are skipped by name.
ifneq ($(filter %t,$(VERSION)),)
TESTED  := --group light-clients --group broker --group pure-servers --only-binary hypothesis
ifeq ($(filter 3.13.%,$(VERSION)),)
TESTED  += --group free-loops
endif
endif
SERVERS := .venv-servers-$(VERSION)
CLIENTS := .venv-clients-$(VERSION)
TRAINING := .venv-training-$(VERSION)
SUPERVISORS := .venv-supervisors-$(VERSION)
DEMO    := .venv-demo$(if $(GRANIAN),-$(GRANIAN))
STAMP   := .made-by-$(VERSION)

# $(call venv,what pip installs): make or update the environment whose stamp is the target. One
# that another Python has made is made anew. For this may take minutes, it shows what pip has come to.
define venv
	@echo "Making $(@D) with Python $(VERSION), once. pip collects:"
	@$(PYTHON) -m venv $$(test -e $@ || echo --clear) $(@D)
	@$(@D)/bin/python -m pip install -qq --disable-pip-version-check --upgrade 'pip>=25.1'
	@{ $(@D)/bin/python -m pip install --disable-pip-version-check --progress-bar off $(1) || echo FAILED; } \
		| awk '/^ *Collecting / { printf "%s ", $$2; fflush() } /^Installing collected/ { print "\nand installs it"; fflush() } \
			/^FAILED$$/ { exit 1 }'
	@touch $@
endef

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(DEMO)/$(STAMP) ## lose no message over five restarts of Granian; INTERFACE=asgi|wsgi|rsgi GRANIAN=1.3
	@$(DEMO)/bin/python examples/kafka/demo.py

.PHONY: test
test: $(VENV)/$(STAMP) ## run every test; PYTHON=python3.13 ARGS="-k sigterm"
	$(VENV)/bin/pytest -n $(WORKERS) $(if $(WHEEL),--installed) $(ARGS)

.PHONY: field
field: $(VENV)/$(STAMP) ## run a form of each kind of program that real users have; KIND="a queue of a child"
	$(VENV)/bin/pytest -n $(WORKERS) -m "field$(if $(KIND),(kind='$(KIND)'))" $(ARGS)

.PHONY: test-servers
test-servers: $(SERVERS)/$(STAMP) servers-apart debian ## run every server in every way; ARGS="-k gunicorn", HEAVY=1: Ray, torch, Spark too
	$(SERVERS)/bin/pytest tests/servers -n 8 --every-server --results build/servers.json $(ARGS)

# Those that need other versions of what the rest uses.
.PHONY: servers-apart
servers-apart: $(addprefix $(SERVERS)-,$(addsuffix /$(STAMP),granian-1.3 arq apscheduler-4 streamlit $(if $(HEAVY),heavy)))

.PHONY: test-clients
test-clients: $(CLIENTS)/$(STAMP) $(CLIENTS)-apscheduler-4/$(STAMP) debian-clients ## end programs with real clients, and children that write files; 500 MB, not in CI
	RESULTS_OF_CLIENTS=build/clients $(CLIENTS)/bin/pytest tests/test_clients.py tests/clients -n $(WORKERS) $(ARGS)

.PHONY: test-supervisors
test-supervisors: $(SUPERVISORS)/$(STAMP) $(SUPERVISORS)/debian ## stop a program under each supervisor, terminal and reloader; not in CI
	$(SUPERVISORS)/bin/pytest tests/supervisors -n $(WORKERS) --every-supervisor build/supervisors.json $(ARGS)

.PHONY: test-training
test-training: $(TRAINING)/$(STAMP) ## end training, trackers and loops of Qt by signals; some GB, not in CI
	$(TRAINING)/bin/pytest tests/test_training.py tests/test_training_services.py tests/test_limits.py tests/test_docs.py -n $(WORKERS) \
		-k "training or limits" $(ARGS)

.PHONY: docs-supervisors
docs-supervisors: ## write the tables of docs/supervisors.md from what `make test-supervisors` has found
	PYTHONPATH=tests $(SUPERVISORS)/bin/python -m supervisors.table build/supervisors.json

.PHONY: docs-servers
docs-servers: ## write the tables of docs/servers.md from what `make test-servers` has found
	PYTHONPATH=tests $(SERVERS)/bin/python -m servers.table build/servers.json

.PHONY: docs-clients
docs-clients: ## write the table of docs/clients.md from what `make test-clients` has found
	PYTHONPATH=tests $(CLIENTS)/bin/python -m clients.table build/clients

.PHONY: docs-rehearsal
docs-rehearsal: $(VENV)/$(STAMP) ## run the rehearsals of docs/rehearsal.md, and write what they print and the picture
	$(VENV)/bin/python tools/rehearsals.py

# Redis, and Apache with mod_wsgi. Where one cannot be installed, the tests of it say that they skip it.
.PHONY: debian
debian: $(SERVERS)/$(STAMP)
	@{ command -v redis-server && command -v apxs; } >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
		&& apt-get -qq update && apt-get -qq install --no-install-recommends --yes \
			redis-server apache2 apache2-dev; } >/dev/null 2>&1 || true
	@command -v redis-server >/dev/null || echo "redis-server is not installed"
	@test -e $(SERVERS)/bin/mod_wsgi-express || { command -v apxs && unshare --user true \
		&& $(SERVERS)/bin/python -m pip install -qq mod_wsgi==6.1.1; } >/dev/null 2>&1 \
		|| echo "mod_wsgi is not installed"

# Redis, PostgreSQL, RabbitMQ and Mosquitto, for the clients; as above.
.PHONY: debian-clients
debian-clients:
	@for one in redis-server postgresql rabbitmq-server mosquitto; do \
		test $$one = postgresql && ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 && continue; \
		PATH="$$PATH:/usr/sbin" command -v $$one >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
			&& apt-get -qq update && apt-get -qq install --no-install-recommends --yes $$one; } >/dev/null 2>&1 \
			|| echo "$$one is not installed"; \
	done

# What is no Python. Where it cannot be installed, the tests of it say that they skip it.
$(SUPERVISORS)/debian: $(SUPERVISORS)/$(STAMP)
	@{ command -v tini && command -v dumb-init && command -v tmux && command -v screen && command -v mpirun; } >/dev/null \
		|| { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get -qq update \
			&& apt-get -qq install --no-install-recommends --yes \
				tini dumb-init tmux screen openmpi-bin; } >/dev/null 2>&1 || true
	@command -v npm >/dev/null && npm install --silent --prefix build/npm pm2@7.0.4 >/dev/null || true
	@touch $@

.PHONY: test-all
test-all: ## run every test on every Python from 3.10 up that pyenv or PATH has
	@failed=; \
	for python in $$($(PYTHON) tools/pythons.py); do \
		echo "== $$python"; \
		$(MAKE) --no-print-directory test PYTHON=$$python || failed="$$failed $$python"; \
	done; \
	test -z "$$failed" || { echo "Failed on:$$failed"; exit 1; }

.PHONY: stress
stress: $(VENV)/$(STAMP) ## run the tests 20 times under load, two runs at once; ROUNDS=20
	$(VENV)/bin/python tools/stress.py $(or $(ROUNDS),20) $(ARGS)

.PHONY: soak
soak: $(VENV)/$(STAMP) ## send programs signals before every line, and at random; ROUNDS=10000 SEED=1
	STEP_OF_A_SWEEP=1 $(VENV)/bin/pytest -n $(WORKERS) tests/test_sweep.py
	EVERY_MOMENT=1 $(VENV)/bin/pytest -n $(WORKERS) tests/test_in_hand.py
	$(VENV)/bin/python tools/soak.py $(or $(ROUNDS),10000) $(SEED)

.PHONY: mutants
mutants: $(VENV)/$(STAMP) ## take out one mechanism after the other, and see its test fail; ARGS="latch-clear"
	$(VENV)/bin/python tools/mutants.py $(ARGS)

.PHONY: bench
bench: .venv-bench/$(STAMP) ## measure costs beside other packages, write docs/benchmarks.md; QUICK=1
	@.venv-bench/bin/python benchmarks/bench.py $(if $(QUICK),--quick)

.PHONY: figures
figures: $(VENV)/$(STAMP) ## run the demo, count tests, servers and mutants, write README's figures
	@mkdir -p build
	$(MAKE) --no-print-directory demo | tee build/demo.txt
	$(VENV)/bin/python tools/figures.py build/demo.txt

.PHONY: coverage
coverage: $(VENV)/$(STAMP) ## measure the branches that the tests take, in every process
	$(VENV)/bin/coverage erase
	$(VENV)/bin/coverage run -m pytest -n $(WORKERS) $(ARGS); status=$$?; \
	$(VENV)/bin/coverage combine --quiet && $(VENV)/bin/coverage report && exit $$status

.PHONY: lint
lint: .venv-lint/$(STAMP) ## check style and format; `make format` mends what can be mended
	.venv-lint/bin/ruff check
	.venv-lint/bin/ruff format --check
	.venv-lint/bin/zizmor --offline --quiet --persona pedantic .github
	.venv-lint/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	.venv-lint/bin/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug.yml
	.venv-lint/bin/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml

.PHONY: format
format: .venv-lint/$(STAMP) ## format, and mend what ruff can mend
	.venv-lint/bin/ruff format
	.venv-lint/bin/ruff check --fix

.PHONY: types
types: .venv-types/$(STAMP) ## check the types, and that the public ones are complete
	.venv-types/bin/mypy
	.venv-types/bin/pyright
	PATH=.venv-types/bin:$$PATH pyright --verifytypes graceexit --ignoreexternal
	.venv-types/bin/pytest tests/test_types.py

.PHONY: stub
stub: .venv-lint/$(STAMP) ## write graceexit/__init__.pyi, which checkers and editors read
	@mkdir -p build
	$(PYTHON) tools/stub.py >build/__init__.pyi
	.venv-lint/bin/ruff format build/__init__.pyi
	mv build/__init__.pyi graceexit/

.PHONY: docs
docs: .venv-docs/$(STAMP) ## build the site of the pages into build/site, and follow its links
	NO_COLOR=1 .venv-docs/bin/python tools/site.py

.PHONY: api
api: ## write docs/api.md from the docstrings
	@mkdir -p build
	$(PYTHON) tools/api.py >build/api.md
	mv build/api.md docs/

.PHONY: build
build: .venv-build/$(STAMP) ## build the sdist, and the wheel from it, into dist/
	rm -rf dist
	.venv-build/bin/python -m build

# pyroma knows no author without an address.
.PHONY: check-dist
check-dist: build ## build, and check what the index would get
	.venv-build/bin/twine check --strict dist/*
	.venv-build/bin/check-wheel-contents dist/*.whl
	.venv-build/bin/check-sdist
	.venv-build/bin/pyroma --min 10 --skip-tests AuthorEmail dist/*.tar.gz

.PHONY: clean
clean: ## remove whatever these targets have made
	rm -rf .venv-* .cache build dist htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

# __init__.py has the version, which an installed package keeps.
$(VENV)/$(STAMP): pyproject.toml graceexit/__init__.py $(WHEEL)
	$(call venv,--group test $(TESTED) $(or $(WHEEL),--editable .))

$(SERVERS)/$(STAMP): pyproject.toml
	$(call venv,--group test --group every-server --editable .)

$(SERVERS)-granian-1.3/$(STAMP): pyproject.toml
	$(call venv,'granian==1.3.*' --editable .)

# It does not take the redis of the others.
$(SERVERS)-arq/$(STAMP): pyproject.toml
	$(call venv,'arq==0.28.0' --editable .)

$(SERVERS)-apscheduler-4/$(STAMP): pyproject.toml
	$(call venv,'apscheduler==4.0.0a6' --editable .)

# It brings watchdog, by which Flask's reloader would look at every folder of the checkout.
$(SERVERS)-streamlit/$(STAMP): pyproject.toml
	$(call venv,'streamlit==1.67.0' 'tornado==6.6.1' --editable .)

$(SERVERS)-heavy/$(STAMP): pyproject.toml
	$(call venv,--group heavy --editable .)

$(TRAINING)/$(STAMP): pyproject.toml
	$(call venv,--group test --group training --editable .)

$(SUPERVISORS)/$(STAMP): pyproject.toml
	$(call venv,--group test --group supervisors --editable .)

$(CLIENTS)/$(STAMP): pyproject.toml
	$(call venv,--group test --group clients --editable .)

# A prerelease, which cannot stand beside the third version.
$(CLIENTS)-apscheduler-4/$(STAMP): pyproject.toml
	$(call venv,apscheduler==4.0.0a6 --editable .)

$(DEMO)/$(STAMP): pyproject.toml
	$(call venv,$(if $(GRANIAN),--group broker 'granian==$(GRANIAN).*',--group demo) --editable .)

# Installed as users have it: the import of an editable install takes another way.
.venv-bench/$(STAMP): pyproject.toml $(wildcard graceexit/*.py)
	$(call venv,--group bench .)

.venv-lint/$(STAMP): pyproject.toml
	$(call venv,--group lint)

.venv-types/$(STAMP): pyproject.toml
	$(call venv,--group types --editable .)

.venv-docs/$(STAMP): pyproject.toml
	$(call venv,--group docs)

.venv-build/$(STAMP): pyproject.toml
	$(call venv,--group build)
