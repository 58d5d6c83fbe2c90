# make demo                          two simulated cameras, the node, pictures in out/demo/
# make demo RGB=DIR THERMAL=DIR      the same with two folders of images, paired by name
# make demo BAG=PATH                 the same with a rosbag2 (sqlite3 or mcap); where its topics
#                                    cannot be guessed: RGB_TOPIC=TOPIC THERMAL_TOPIC=TOPIC
# make demo-rig                      two cameras that see different rectangles: calibrated from a
#                                    recorded minute, pictures before and after in out/demo-rig/
# make test                          lint and all tests
# make test-newest                   the node's main tests on the newest ROS that PyPI has
# make test-tensorrt                 that TensorRT converts and builds the networks (1.3 GB more)
# make lint                          ruff, mypy, and which room may import which
# make parameters                    renews docs/parameters.md and docs/faults.md from the code
# make clean                         removes the .venv and what the tools leave behind
#
# Each makes a .venv with what it needs first; PYTHON=python3.12 chooses the interpreter.

VENV := .venv
PY := $(VENV)/bin/python
TRT_VENV := .venv-trt
NEW_VENV := .venv-newest
PIP := $(PY) -m pip install --quiet --disable-pip-version-check -c requirements/constraints.txt
TRT_PIP := $(subst $(PY),$(TRT_VENV)/bin/python,$(PIP))
NODE_TESTS := test/node/test_lifecycle.py test/node/test_outputs.py test/node/test_faults.py
TORCH_CPU_INDEX := https://download.pytorch.org/whl/cpu

SUPPORTED := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))
PYTHON = $(shell for python in python3 python3.12 python3.11 python3.13 python3.10; do \
	$$python -c '$(SUPPORTED)' 2>/dev/null && echo $$python && break; done)

# The .venv has its own ROS; one that the shell has sourced would be found before it.
unexport PYTHONPATH LD_LIBRARY_PATH AMENT_PREFIX_PATH RMW_IMPLEMENTATION
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE

.PHONY: help demo demo-rig test test-newest test-tensorrt lint parameters clean
help:
	@sed -n 's/^# \{0,1\}//p; /^$$/q' Makefile

demo: $(VENV)/demo.stamp
	@$(PY) -m mafs_ros.demo $(if $(RGB),--rgb "$(RGB)") \
		$(if $(THERMAL),--thermal "$(THERMAL)") $(if $(BAG),--bag "$(BAG)") \
		$(if $(RGB_TOPIC),--rgb-topic "$(RGB_TOPIC)") \
		$(if $(THERMAL_TOPIC),--thermal-topic "$(THERMAL_TOPIC)")

demo-rig: $(VENV)/demo.stamp
	@$(PY) -m mafs_ros.demo.rig

# A file is not split between the processes, since its tests share what takes long to make. Both runs
# share a home, so that no network is converted twice; the second reads only files with tests for it.
test: lint
	home=$$(mktemp -d) && trap 'rm -rf "$$home"' EXIT INT TERM && export MAFS_TEST_HOME="$$home" && \
	$(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not alone" && \
	$(PY) -m pytest -m alone $$(grep -rl --include='test_*.py' 'pytest.mark.alone' test)

lint: $(VENV)/test.stamp
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(VENV)/bin/lint-imports --no-cache
	$(PY) -m mypy

# The wheels of `make test` are those of the oldest.
test-newest: $(NEW_VENV)/stamp
	$(NEW_VENV)/bin/python -m pytest -p no:cacheprovider $(NODE_TESTS)

# By TensorRT's parser, in the .venv of `make test`; by torch-tensorrt, in an environment of its own,
# since that is tied to one release of torch and of TensorRT-RTX, which has no int8 yet.
test-tensorrt: $(TRT_VENV)/stamp $(VENV)/test.stamp
	MAFS_TENSORRT=1 $(PY) -m pytest -m tensorrt -rP -o faulthandler_timeout=0 test/engine/test_tensorrt_onnx.py
	$(TRT_VENV)/bin/python -m pytest -m tensorrt -rP -o faulthandler_timeout=0 test/engine/test_tensorrt.py

parameters: $(VENV)/demo.stamp
	{ sed '/^<!-- python3 -m mafs_ros.parameters markdown/q' docs/parameters.md; \
	$(PY) -m mafs_ros.parameters markdown; echo '<!-- end -->'; } > parameters.tmp
	mv parameters.tmp docs/parameters.md
	{ sed '/^<!-- python3 -m mafs_ros.base.faults/q' docs/faults.md; \
	$(PY) -m mafs_ros.base.faults; echo '<!-- end -->'; } > parameters.tmp
	mv parameters.tmp docs/faults.md

clean:
	rm -rf $(VENV) $(NEW_VENV) $(TRT_VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache

$(PY):
	@test "$$(uname -sm)" = "Linux x86_64" || { echo "make: the ROS 2 wheels are for Linux on \
	x86-64, this is $$(uname -sm): build the package in a colcon workspace (README.md)" >&2; exit 1; }
	@$(or $(PYTHON),false) -c '$(SUPPORTED)' || { echo "make: Python 3.10 to 3.13 is needed, got \
	'$(PYTHON)'; name another with PYTHON=/path/to/python" >&2; exit 1; }
	@echo "Making $(VENV) with $(PYTHON); the first time this downloads about 600 MB."
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "make: could not make $(VENV); on Debian \
	and Ubuntu: sudo apt install python3-venv" >&2; exit 1; }

# torch comes first and alone: PyTorch's own index has the CPU build, whose version is the higher
# one (2.13.0+cpu), so pip prefers it to PyPI's CUDA build of several GB. Where that index cannot be
# reached pip skips it and takes what it finds. The second step adds torch's own requirements.
$(VENV)/demo.stamp: requirements/engine.txt requirements/demo.txt requirements/constraints.txt \
		setup.py setup.cfg | $(PY)
	@echo "Installing torch ..."
	@$(PIP) --no-deps --retries 2 --extra-index-url $(TORCH_CPU_INDEX) \
		"$$(grep '^torch==' requirements/engine.txt)"
	@echo "Installing ROS 2, OpenVINO, OpenCV ..."
	@$(PIP) -r requirements/demo.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/test.stamp: requirements/test.txt requirements/rtx.txt $(VENV)/demo.stamp
	@echo "Installing the tools for the tests ..."
	@$(PIP) -r requirements/test.txt
	@touch $@

# Its own ROS and NumPy; what else it imports lies in .venv, behind them.
$(NEW_VENV)/stamp: requirements/newest.txt $(VENV)/test.stamp
	@$(PY) -m venv $(NEW_VENV)
	@echo "Installing the newest ROS 2 of PyPI into $(NEW_VENV) ..."
	@$(NEW_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/newest.txt
	@$(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$$($(NEW_VENV)/bin/python \
		-c 'import sysconfig; print(sysconfig.get_path("purelib"))')/zz_rest.pth"
	@touch $@

$(TRT_VENV)/stamp: requirements/tensorrt.txt requirements/constraints.txt
	@$(or $(PYTHON),false) -c '$(SUPPORTED)' && $(PYTHON) -m venv $(TRT_VENV)
	@echo "Installing torch, TensorRT-RTX and torch-tensorrt into $(TRT_VENV) ..."
	@$(TRT_PIP) --no-deps --retries 2 --extra-index-url $(TORCH_CPU_INDEX) \
		"$$(grep '^torch==' requirements/engine.txt)"
	@$(TRT_PIP) -r requirements/tensorrt.txt
	@touch $@
