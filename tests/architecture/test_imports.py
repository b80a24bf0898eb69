"""What serves starts light: no torch, no Parquet, no plots in a ranker or a joiner."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "pyarrow", "matplotlib", "triton", "pandas", "opentelemetry.sdk.trace")  # redis imports its metrics


@pytest.mark.parametrize("command", ["rank", "join", "serve", "refresh"])
def test_a_serving_command_imports_nothing_heavy(command: str) -> None:
    code = f"""
import sys
import stream_scorer.wiring.streaming
import stream_scorer.cli
from stream_scorer.cli import {command}
print(*(each for each in {HEAVY} if each in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == []


def test_the_package_itself_imports_nothing() -> None:
    code = "import sys; before = set(sys.modules); import stream_scorer; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = {each.split(".")[0] for each in done.stdout.split()}
    assert loaded - sys.stdlib_module_names == {"stream_scorer"}


def test_a_loaded_release_needs_no_torch() -> None:
    code = f"""
import sys
from stream_scorer import LoadedRelease, load_release
print(*(each for each in {HEAVY} if each in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == []
