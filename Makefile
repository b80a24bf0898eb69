# `make` lists the targets. Each makes what it needs, and needs nothing but Python 3.11+ (and Java 17 with Maven for a real Kafka).
PYTHON ?= $(shell for each in python3.13 python3.12 python3.11 python3 python; do \
	$$each -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$each; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCK := build/lock/bin/uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate
# the lock is made for these (see tool.uv in pyproject.toml); elsewhere pip should say what has no wheel, and not leave everything out
LOCKED_FOR := python_full_version < '3.15' and ((platform_machine == 'aarch64' and sys_platform == 'linux') or \
(platform_machine == 'x86_64' and sys_platform == 'linux') or sys_platform == 'darwin')
UNMARKED := sed "s/ ; $(LOCKED_FOR) / /"

CHART := deploy/helm/stream-scorer
HELM := build/chart/bin/helm
PROMTOOL ?= promtool
KUBERNETES := v1.34.1
KEDA := v2.18.0
EVERYTHING := --kube-version $(KUBERNETES) --values $(CHART)/ci/everything-values.yaml
# the Prometheus operator's own kinds have no schema that the Go module proxy would give
KUBECONFORM := build/chart/bin/kubeconform -strict -summary -skip PodMonitor,PrometheusRule \
	-schema-location 'build/chart/schemas/{{ .ResourceKind }}{{ .KindSuffix }}.json'

.DEFAULT_GOAL := help
.PHONY: help setup demo up test check fmt bench chaos h2o schemas chart alerts rooms docs lock release clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(VENV)/dev.stamp ## make .venv with everything for development

demo: $(VENV)/demo.stamp ## watch customers being ranked and the ranking getting better (ARGS="--kafka", "--json")
	$(BIN)/stream-scorer demo $(ARGS)

up: $(VENV)/demo.stamp ## start a real Kafka and Valkey to play with; Ctrl-C stops both
	$(BIN)/stream-scorer up $(ARGS)

test: $(VENV)/dev.stamp ## run every test, on a real Kafka and Valkey (ARGS="-k name"); any skip is a failure
	$(BIN)/pytest --no-skips --numprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/dev.stamp ## lint, formatting, types, layers, schemas in step
	$(BIN)/ruff check --quiet
	$(BIN)/ruff format --quiet --check
	$(BIN)/mypy
	$(BIN)/pytest --quiet tests/architecture

fmt: $(VENV)/dev.stamp ## format, and put right what the linter can
	$(BIN)/ruff check --quiet --fix
	$(BIN)/ruff format --quiet

bench: $(VENV)/dev.stamp ## measure the ranker beside a bare loop
	$(BIN)/stream-scorer bench $(ARGS)

chaos: $(VENV)/dev.stamp ## kill, pause and cut, for longer than `make test` does (CHAOS_ROUNDS=20)
	CHAOS_ROUNDS=$(or $(CHAOS_ROUNDS),20) CHAOS_REQUESTS=$(or $(CHAOS_REQUESTS),600000) $(BIN)/pytest -m chaos --timeout 3600 $(ARGS)

h2o: $(VENV)/dev.stamp ## hold towers trained in H2O to what H2O itself gives, and write docs/h2o-parity.md (downloads 266 MB)
	$(INSTALL) --editable '.[h2o]'
	$(BIN)/pytest -m h2o --no-skips --junitxml build/h2o.xml $(ARGS)
	$(BIN)/python -m tests.h2o_table build/h2o.xml > build/h2o-parity.md && mv build/h2o-parity.md docs/

schemas: $(VENV)/dev.stamp ## write schemas/, and that of the chart's values, anew from the messages and settings
	$(BIN)/python -m stream_scorer.schemas schemas
	$(BIN)/python -m tests.chart_files values

chart: $(VENV)/dev.stamp ## lint, render and check the Helm chart with the real tools (needs Go)
	GOBIN=$(CURDIR)/build/chart/bin go install helm.sh/helm/v3/cmd/helm@v3.19.0
	GOBIN=$(CURDIR)/build/chart/bin go install github.com/yannh/kubeconform/cmd/kubeconform@v0.7.0
	go mod download k8s.io/kubernetes@$(KUBERNETES) github.com/kedacore/keda/v2@$(KEDA)
	$(HELM) lint $(CHART) --strict $(EVERYTHING)
	$(HELM) template ring $(CHART) $(EVERYTHING) --set monitoring.dashboard=false,monitoring.prometheusRule=false \
		| $(BIN)/python -m tests.chart_files rendered
	$(BIN)/python -m tests.chart_files kubernetes build/chart/schemas \
		"$$(go env GOMODCACHE)/k8s.io/kubernetes@$(KUBERNETES)/api/openapi-spec/swagger.json" \
		"$$(go env GOMODCACHE)/github.com/kedacore/keda/v2@$(KEDA)/config/crd/bases/keda.sh_scaledobjects.yaml"
	$(HELM) template ring $(CHART) $(EVERYTHING) | $(KUBECONFORM)
	$(HELM) template ring $(CHART) --kube-version $(KUBERNETES) --set buffer.folder=s3://bucket/labels | $(KUBECONFORM)

alerts: $(VENV)/dev.stamp ## let Prometheus' own promtool check and test the alerts (PROMTOOL=path; Debian's package prometheus has it)
	$(PROMTOOL) check rules $(CHART)/monitoring/alerts.yaml
	$(PROMTOOL) test rules tests/alerts.yaml
	$(PROMTOOL) --version 2>&1 | $(BIN)/python -m tests.chart_files accepted

rooms: $(VENV)/dev.stamp ## draw anew in ARCHITECTURE.md which rooms import which
	$(BIN)/python -m tests.architecture.rooms

docs: $(VENV)/docs.stamp ## build the documentation site into out/docs/site; a link that leads nowhere is an error
	rm -rf out/docs && $(BIN)/python -m tests.docs_site.site out/docs
	$(BIN)/zensical build --strict --config-file out/docs/zensical.toml
	@echo "out/docs/site/index.html is ready; its search needs a server: python -m http.server --directory out/docs/site"

lock: ## write requirements/*.txt anew, at the newest versions (then `make check`: licences, sizes, hashes)
	$(PYTHON) -m venv build/lock && build/lock/bin/pip install --quiet uv
	rm -rf build/locked && mkdir -p build/locked
	$(LOCK) --upgrade --extra dev pyproject.toml requirements/build.in > build/locked/dev.txt
	for each in demo train trees parquet iceberg http index mlflow otel registry docs; do \
		$(LOCK) --extra $$each -c build/locked/dev.txt pyproject.toml requirements/build.in > build/locked/$$each.txt || exit; done
	$(LOCK) -c build/locked/dev.txt requirements/release.in requirements/build.in > build/locked/release.txt
	@# all or nothing: where an extra cannot be resolved, the lock stays as it was
	for each in build/locked/*.txt; do $(UNMARKED) $$each > requirements/$$(basename $$each) || exit; done

release: VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' stream_scorer/__init__.py)
release: $(VENV)/dev.stamp requirements/release.txt ## build what is released into dist/, check it, list what is in it; uploads nothing
	@test -z "$$(git status --porcelain)" || { echo "the tree has changes that are not committed"; exit 1; }
	@test "$$(git tag --points-at HEAD --list 'v$(VERSION)')" || { echo "no tag v$(VERSION) at this commit: git tag v$(VERSION)"; exit 1; }
	rm -rf dist && $(PYTHON) -m venv build/release
	build/release/bin/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/release.txt
	build/release/bin/python -m build --no-isolation --outdir dist
	build/release/bin/twine check --strict dist/*
	$(BIN)/pytest --quiet tests/architecture/test_package.py
	build/release/bin/cyclonedx-py requirements requirements/parquet.txt --pyproject pyproject.toml --output-reproducible \
		--output-file dist/stream-scorer-$(VERSION).cdx.json
	@echo "dist/ is ready. To upload it: build/release/bin/twine upload dist/*.whl dist/*.tar.gz"

clean: ## remove what the targets made
	rm -rf $(VENV) build dist out/docs .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/made.stamp:
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer with the venv module found: install it (Debian: python3-venv), or make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# versions and hashes come from the lock, for the tools that build the package too; the package itself is linked, not copied
$(VENV)/demo.stamp: requirements/demo.txt pyproject.toml $(VENV)/made.stamp
	$(INSTALL) --require-hashes --only-binary :all: -r requirements/demo.txt
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt pyproject.toml $(VENV)/made.stamp
	$(INSTALL) --require-hashes --only-binary :all: -r requirements/dev.txt
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $(VENV)/demo.stamp $@

$(VENV)/docs.stamp: requirements/docs.txt pyproject.toml $(VENV)/made.stamp
	$(INSTALL) --require-hashes --only-binary :all: -r requirements/docs.txt
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@
