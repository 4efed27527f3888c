# For newcomers: `make demo`, `make test`, and `make quick` while editing. CONTRIBUTING.md lists the rest.
PYTHON ?= python3
SEED ?= 0
BIN := .venv/bin

.PHONY: demo controls ablations weights real loop feeds-study test quick lint stress trust docs venv clean

venv: .venv/installed

.venv/installed: setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "torch>=2.9,<3" "torchvision>=0.24"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	@# The evaluator that scoring is tested against, and the addresses of the data, without 300 MB of other dependencies.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps "SoccerNet>=0.2"
	touch $@

demo: venv
	$(BIN)/e2espot demo --seed $(SEED)

controls: venv
	$(BIN)/e2espot controls --seed $(SEED)

# Six variants, three seeds, four CPU minutes each: some two hours on two cores. It can be stopped and started again.
ablations: venv
	$(BIN)/e2espot ablations

# The shipped weights of the small backbone: trained from random weights on plain matches, then on televised ones, and
# blended with those before; then on more of these, alone and next to an image network, as the second set. It takes
# many hours on two cores; every stage is skipped or resumed when it is run again.
WEIGHTS := out/weights
weights: venv
	$(BIN)/e2espot render $(WEIGHTS)/matches --games 98 --minutes 1 --seed 1000
	test -f $(WEIGHTS)/plain/best.safetensors || \
	  $(BIN)/e2espot train $(WEIGHTS)/matches -s $(WEIGHTS)/plain --recipe rendered $$(test -d $(WEIGHTS)/plain/last && echo --resume)
	$(BIN)/e2espot render $(WEIGHTS)/television --games 86 --minutes 1 --seed 6000 --density 1.4 --world mixed
	test -f $(WEIGHTS)/tv/best.safetensors || \
	  $(BIN)/e2espot train $(WEIGHTS)/television -s $(WEIGHTS)/tv --recipe rendered-tv \
	  --init_from $(WEIGHTS)/plain/best.safetensors $$(test -d $(WEIGHTS)/tv/last && echo --resume)
	$(BIN)/e2espot blend $(WEIGHTS)/plain/best.safetensors $(WEIGHTS)/tv/best.safetensors \
	  $(WEIGHTS)/first.safetensors --share 0.5
	$(BIN)/e2espot render $(WEIGHTS)/attacks --games 51 --minutes 1 --seed 6600 --density 1.4 --world tv
	test -f $(WEIGHTS)/second/best.safetensors || \
	  $(BIN)/e2espot train $(WEIGHTS)/attacks -s $(WEIGHTS)/second --recipe rendered-tv --epoch_clips 100 \
	  --learning_rate 0.0008 --init_from $(WEIGHTS)/first.safetensors $$(test -d $(WEIGHTS)/second/last && echo --resume)
	test -f $(WEIGHTS)/lite/best.safetensors || \
	  $(BIN)/e2espot train $(WEIGHTS)/attacks -s $(WEIGHTS)/lite --recipe rendered-tv --feature_arch lite_gsm \
	  --epoch_clips 100 --num_epochs 27 --init_from $(WEIGHTS)/second/best.safetensors $$(test -d $(WEIGHTS)/lite/last && echo --resume)
	$(BIN)/e2espot blend $(WEIGHTS)/second/best.safetensors $(WEIGHTS)/lite/best.safetensors \
	  $(WEIGHTS)/way_back.safetensors --share 0.75
	test -f $(WEIGHTS)/unfamiliar/best.safetensors || \
	  $(BIN)/e2espot train $(WEIGHTS)/attacks -s $(WEIGHTS)/unfamiliar --recipe rendered-tv --feature_arch lite_gsm \
	  --epoch_clips 100 --num_epochs 9 --learning_rate 0.0008 --init_from $(WEIGHTS)/way_back.safetensors \
	  $$(test -d $(WEIGHTS)/unfamiliar/last && echo --resume)
	test -f $(WEIGHTS)/negatives/best.safetensors || \
	  $(BIN)/e2espot train $(WEIGHTS)/attacks -s $(WEIGHTS)/negatives --recipe rendered-tv --feature_arch lite_gsm \
	  --epoch_clips 100 --num_epochs 12 --learning_rate 0.0008 --init_from $(WEIGHTS)/unfamiliar/best.safetensors \
	  --negative_label_file Labels-other.json --event_fraction 0.4 --negative_fraction 0.25 --negative_weight 5 \
	  $$(test -d $(WEIGHTS)/negatives/last && echo --resume)
	$(BIN)/e2espot blend $(WEIGHTS)/unfamiliar/best.safetensors $(WEIGHTS)/negatives/best.safetensors \
	  $(WEIGHTS)/halfway.safetensors --share 0.5
	$(BIN)/e2espot render $(WEIGHTS)/large --games 51 --minutes 1 --seed 7800 --density 1.4 --world tv --resolution 720p
	test -f $(WEIGHTS)/smoothed/best.safetensors || \
	  $(BIN)/e2espot train $(WEIGHTS)/large -s $(WEIGHTS)/smoothed --recipe rendered-tv --feature_arch lite_gsm \
	  --epoch_clips 100 --num_epochs 10 --learning_rate 0.0008 --init_from $(WEIGHTS)/halfway.safetensors \
	  --size 512x288 --smooth_ball \
	  --negative_label_file Labels-other.json --event_fraction 0.4 --negative_fraction 0.25 --negative_weight 5 \
	  $$(test -d $(WEIGHTS)/smoothed/last && echo --resume)
	$(BIN)/e2espot blend $(WEIGHTS)/halfway.safetensors $(WEIGHTS)/smoothed/best.safetensors \
	  $(WEIGHTS)/second_set.safetensors --share 0.5 --look_ahead 1 --smooth_ball --size 512x288
	$(BIN)/e2espot blend $(WEIGHTS)/first.safetensors $(WEIGHTS)/first.safetensors \
	  e2espot/models/weights/small_gsm.safetensors --share 0 --unfamiliar $(WEIGHTS)/second_set.safetensors

# The shipped spotter on labelled clips of filmed matches: make real REAL="FOLDER ..."
real: venv
	$(BIN)/e2espot bench real $(REAL)

# Matches of Google Research Football. Its engine is built first, some ten minutes, with the system packages that
# docs/rendered.md lists; nothing else needs it. A minute of play takes three to five minutes of a core.
ENGINE := out/engine
engine: venv
	$(BIN)/python -c "import gfootball_engine" 2>/dev/null || { \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check setuptools wheel psutil && \
	  PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pip install --disable-pip-version-check \
	    --no-build-isolation --no-deps gfootball==2.10.2; }
	$(BIN)/e2espot render $(ENGINE) --games 30 --minutes 1 --seed $(SEED) --world engine --picture_step 2
.PHONY: engine

# Label, fine-tune, predict and review, with a simulated annotator: a quarter of an hour on one core.
loop: venv
	$(BIN)/e2espot loop -o out/loop --seed $(SEED) \
	  --train="--size 256x144 --clip_len 48 --epoch_clips 60 --num_epochs 3"

# What aligning the labels of event feeds wins back: some twenty minutes on one core. START is a spotter that has not
# learnt from such matches, such as out/weights/plain/best.safetensors of `make weights`.
feeds-study: venv
	$(BIN)/e2espot jitter -o out/jitter --seed $(SEED) $(if $(START),--start $(START))

# Two processes: the tests of a file stay together, as they share what they render and train. tests/conftest.py says
# which files come first. Inference engines get a process without the many other native libraries. The many processes
# that tests start read compiled modules, whatever the environment says.
test quick: export PYTHONDONTWRITEBYTECODE =
test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --ignore tests/inference/test_export.py
	$(BIN)/python -m pytest -n 2 tests/inference/test_export.py

# Linters, types and the direction of imports.
lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# A subset of about three minutes to run while editing.
quick: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow" -x --ignore tests/robustness --ignore tests/review \
	  --ignore tests/dali --ignore tests/sources

# The documentation as a site in site/, with every link checked.
docs: venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[docs]"
	$(BIN)/mkdocs build --strict

# The tests of tests/robustness at full length, with their figures: an hour on two cores. The fuzz test also reports
# how much of the readers it covers.
READERS := e2espot/formats/*,e2espot/files/*,e2espot/scoring/inputs.py,e2espot/core/label_sets.py
READERS := $(READERS),e2espot/training/recipe.py,e2espot/training/checkpoints.py,e2espot/training/resume.py
READERS := $(READERS),e2espot/sources/soccernet/submission.py,e2espot/sources/soccernet/manifest.py
READERS := $(READERS),e2espot/models/weights/*,e2espot/suppression/calibration.py,e2espot/video/index_cache.py
READERS := $(READERS),e2espot/review/journal.py,e2espot/review/label_file.py,e2espot/review/label_store.py
READERS := $(READERS),e2espot/review/label_rows.py,e2espot/review/inputs.py
# Files elsewhere that run a sample in make test and all in make stress.
SAMPLED := tests/test_agreement.py tests/scoring/test_metric.py tests/video/test_real_clips.py tests/test_wheel.py
SAMPLED := $(SAMPLED) tests/inference/test_predict.py tests/cli/test_bench.py
stress: venv
	E2ESPOT_ROBUSTNESS=long $(BIN)/python -m pytest tests/robustness $(SAMPLED) -s --ignore tests/robustness/test_fuzz.py \
	  --ignore tests/robustness/test_live_soak.py
	E2ESPOT_ROBUSTNESS=long $(BIN)/python -m pytest tests/inference/test_export.py
	E2ESPOT_ROBUSTNESS=long $(BIN)/python -m coverage run --branch --include "$(READERS)" \
	  -m pytest tests/robustness/test_fuzz.py -s
	$(BIN)/python -m coverage report

# Its former name.
trust: stress

# An hour of a live stream whose sender misbehaves every minute.
soak: venv
	E2ESPOT_ROBUSTNESS=long $(BIN)/python -m pytest tests/robustness/test_live_soak.py -s
.PHONY: soak

clean:
	rm -rf demo build dist *.egg-info

# The JavaScript of the pages, checked by TypeScript; installing that takes some seconds. Skipped where it cannot run,
# except under CI=true.
test: lint-js
.PHONY: lint-js
lint-js:
	@fail() { if [ "$$CI" = true ]; then echo "lint-js: $$1" >&2; exit 1; else echo "lint-js: skipped, $$1"; exit 0; fi; }; \
	command -v npm >/dev/null 2>&1 || fail "npm is missing; install Node.js 18 or later"; \
	[ tests/js/node_modules/.package-lock.json -nt tests/js/package-lock.json ] || \
	  npm ci --prefix tests/js --no-audit --no-fund --silent || fail "npm cannot install TypeScript"; \
	npm run --prefix tests/js --silent check

# Heads on features of rendered matches, next to spotters on their frames: some eight minutes of CPU time. It can be
# stopped and started again.
features-study: venv
	$(BIN)/e2espot heads -o out/heads --seed $(SEED)
.PHONY: features-study

# NetVLAD++ on SoccerNet's public features, to compare with the published 50.7 loose. 7 GB of downloads, then some hours.
V2 := out/v2
v2-parity: venv
	$(BIN)/e2espot download $(V2)/data --task v2-features --features ResNET_TF2_PCA512 --split train valid test
	test -f $(V2)/run/calibration.json || \
	  $(BIN)/e2espot train $(V2)/data -s $(V2)/run --recipe v2-netvladpp $$(test -d $(V2)/run/last && echo --resume)
	$(BIN)/e2espot infer $(V2)/run $(V2)/data -s test -o $(V2)/out --resume
	$(BIN)/e2espot evaluate $(V2)/out -l $(V2)/data -s test --label_set soccernet-v2-17 --metric tight loose
.PHONY: v2-parity
