# Needs Python 3.11 to 3.13 and make; everything else is installed into folders of this repository.
# To use another Python than python3: PYTHON=python3.13 make demo

PYTHON ?= python3
VENV ?= .venv
PROJECT_VENV ?= .venv-project
CHECKOV_VENV ?= .venv-checkov
TERRAFORM_VENV ?= .venv-terraform
NODE_FOLDER ?= .venv-node
DEMO ?= build/demo

TEMPLATE := {{cookiecutter.project_slug}}
TOOLS := $(abspath $(VENV))/bin
DEMO_PROJECT := $(DEMO)/credit-risk
# A row of the sample, without its target.
ROW := {"input_data": [{"seniority": 9, "home": "rent", "time": 60, "age": 30, "marital": "married", "records": "no", \
	"job": "freelance", "expenses": 73, "income": 129, "assets": 0, "debt": 0, "amount": 800, "price": 846}]}
# tests/conftest.py says which tests share a worker. At most one worker per core, because release tests measure latency,
# and one thread each, because waiting threads slow each other down.
PYTEST := OMP_NUM_THREADS=1 $(TOOLS)/pytest -n 2 --no-loadscope-reorder
# Without bytecode, the first import of a package takes three times as long.
INSTALL := $(TOOLS)/uv pip install --quiet --compile-bytecode

export PROJECT_PYTHON ?= $(abspath $(PROJECT_VENV))/bin/python
export CHECKOV_PYTHON ?= $(abspath $(CHECKOV_VENV))/bin/python
export TERRAFORM_PYTHON ?= $(abspath $(TERRAFORM_VENV))/bin/python
override NODE_FOLDER := $(abspath $(NODE_FOLDER))
export NODE_FOLDER

# One line instead of a resolver's conflict: what works, what was found, and how to go on. .venv's Python makes the other
# environments, so only it needs the check.
AGAIN := make $(or $(MAKECMDGOALS),install)
define CHECK_PYTHON
found=$$($(PYTHON) -c 'import sys; v = sys.version_info[:2]; print("is Python %d.%d" % v); sys.exit(not (3, 11) <= v <= (3, 13))' \
	2>/dev/null) && exit; \
go="install Python 3.13, then run: PYTHON=python3.13 $(AGAIN)"; \
if command -v uv >/dev/null; then \
	go='run: uv python install 3.13 && PYTHON="$$(uv python find 3.13)" $(AGAIN)'; \
fi; \
for version in 3.11 3.12 3.13; do \
	if python$$version -c "" 2>/dev/null; then go="run: PYTHON=python$$version $(AGAIN)"; fi; \
done; \
echo "This needs Python 3.11 to 3.13, but $(PYTHON) $${found:-does not start}: $$go" >&2; exit 1
endef

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: $(VENV)/.installed ## Render a default project and run its whole lifecycle on this machine
	@if [ -x $(DEMO_PROJECT)/.venv/bin/mlops ]; then cd $(DEMO_PROJECT) && .venv/bin/mlops stop; fi
	@# Start without a champion: remove the last demo except its environment.
	@if [ -d $(DEMO_PROJECT) ]; then find $(DEMO_PROJECT) -mindepth 1 -maxdepth 1 ! -name .venv -exec rm -rf {} +; fi
	$(TOOLS)/cookiecutter . --no-input --default-config --overwrite-if-exists --output-dir $(DEMO) >/dev/null
	$(TOOLS)/python -m venv $(DEMO_PROJECT)/.venv
	$(INSTALL) --python $(DEMO_PROJECT)/.venv/bin/python -r $(DEMO_PROJECT)/requirements.txt -e $(DEMO_PROJECT)
	cd $(DEMO_PROJECT) && .venv/bin/mlops run
	cd $(DEMO_PROJECT) && .venv/bin/mlops release --yes
	cd $(DEMO_PROJECT) && .venv/bin/mlops status
	@port=$$(sed -n '/^  production:/,/port:/ s/.*port: *\([0-9]*\).*/\1/p' $(DEMO_PROJECT)/project.yml); \
	printf '\nRead the report:   %s\n' $(DEMO_PROJECT)/outputs/report/report.html; \
	printf "Score a row:       curl http://127.0.0.1:%s/score --json '%s'\n" "$$port" '$(ROW)'; \
	printf 'Stop the servers:  %s\n' 'cd $(DEMO_PROJECT) && .venv/bin/mlops stop'

.PHONY: check
check: lint ## Lint, check types and every variant, and run the fast tests
	$(PYTEST) -m "not slow"

.PHONY: test
test: lint ## The same with the slow tests: what CI runs
	$(PYTEST) -m "not exhaustive"

.PHONY: test-all
test-all: export LIFECYCLE_EXAMPLES := 500
test-all: install ## Run every test: each step of a release under each fault, each landing zone, more examples
	$(PYTEST)

.PHONY: lint
lint: install
	$(TOOLS)/ruff check .
	$(TOOLS)/ruff format --check .
	$(TOOLS)/mypy
	cd tests && $(TOOLS)/python -m variants

.PHONY: lifecycle
lifecycle: $(VENV)/.installed $(PROJECT_VENV)/.installed ## Run the lifecycle's tests, or some: TESTS=tests/lifecycle/test_gate.py
	rm -rf build/lifecycle
	$(TOOLS)/cookiecutter . --no-input --default-config --output-dir build/lifecycle $(ANSWERS) >/dev/null
	PYTHONPATH=$(wildcard build/lifecycle/*/src) $(PROJECT_PYTHON) -m pytest -c tests/lifecycle/pytest.ini $(TESTS)

.PHONY: lint-variants
lint-variants: install ## Check every variant, or some: VARIANT=ci_cd=github-actions KEEP=build/variants
	cd tests && $(TOOLS)/python -m variants --variant "$(VARIANT)" $(if $(KEEP),--keep "$(abspath $(KEEP))")

.PHONY: golden
golden: $(VENV)/.installed ## Rewrite the list of rendered files after adding or removing files
	cd tests && $(TOOLS)/python -m variants --update-golden

.PHONY: install
install: $(VENV)/.installed $(PROJECT_VENV)/.installed $(CHECKOV_VENV)/.installed $(TERRAFORM_VENV)/.installed \
	$(NODE_FOLDER)/.installed

.PHONY: benchmarks
benchmarks: install ## Time help, rendering, variants, scoring and the lifecycle against baselines
	$(TOOLS)/python benchmarks/cli.py
	$(TOOLS)/python benchmarks/render.py
	$(TOOLS)/python benchmarks/lint_variants.py
	$(TOOLS)/python benchmarks/scoring.py
	$(TOOLS)/python benchmarks/lifecycle.py
	$(TOOLS)/python benchmarks/pull_request.py

.PHONY: requirements
requirements: $(VENV)/.installed ## Compile requirements-*.in into requirements-*.txt
	for name in dev checkov terraform; do \
		$(TOOLS)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-annotate \
			--no-emit-index-url --no-emit-find-links --custom-compile-command "make requirements" \
			--output-file requirements-$$name.txt requirements-$$name.in || exit; \
	done

.PHONY: clean
clean: ## Remove the environments, the demo and the caches
	@if [ -x $(DEMO_PROJECT)/.venv/bin/mlops ]; then cd $(DEMO_PROJECT) && .venv/bin/mlops stop; fi
	rm -rf $(VENV) $(PROJECT_VENV) $(CHECKOV_VENV) $(TERRAFORM_VENV) $(NODE_FOLDER) build .hypothesis .mypy_cache .pytest_cache .ruff_cache

$(VENV)/.installed: requirements-dev.txt
	@$(CHECK_PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(TOOLS)/python -m pip install --quiet --disable-pip-version-check --constraint requirements-dev.txt uv
	$(INSTALL) --python $(TOOLS)/python -r requirements-dev.txt
	@touch $@

# Shared by all tests that run a rendered project: requirements.txt is the same in every variant. The lifecycle's tests also
# draw examples.
$(PROJECT_VENV)/.installed: $(TEMPLATE)/requirements.txt requirements-dev.txt $(VENV)/.installed
	$(TOOLS)/python -m venv $(PROJECT_VENV)
	$(INSTALL) --python $(PROJECT_VENV)/bin/python -r "$<"
	$(INSTALL) --python $(PROJECT_VENV)/bin/python --constraint requirements-dev.txt hypothesis
	@touch $@

$(CHECKOV_VENV)/.installed: requirements-checkov.txt $(VENV)/.installed
	$(TOOLS)/python -m venv $(CHECKOV_VENV)
	$(INSTALL) --python $(CHECKOV_VENV)/bin/python -r "$<"
	@touch $@

# Without bytecode: only one archive is read, of thousands of modules.
$(TERRAFORM_VENV)/.installed: requirements-terraform.txt $(VENV)/.installed
	$(TOOLS)/python -m venv $(TERRAFORM_VENV)
	$(TOOLS)/uv pip install --quiet --python $(TERRAFORM_VENV)/bin/python -r "$<"
	@touch $@

# Without a lock file, which would contain a registry's addresses, and without install scripts, which are not needed.
$(NODE_FOLDER)/.installed: tests/variants/package.json $(VENV)/.installed
	@mkdir -p $(NODE_FOLDER)
	cp "$<" $(NODE_FOLDER)
	cd $(NODE_FOLDER) && PATH="$(TOOLS):$$PATH" npm install --no-package-lock --no-audit --no-fund --ignore-scripts --loglevel error
	@touch $@
