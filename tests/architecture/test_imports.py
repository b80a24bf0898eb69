"""What serves starts light: no torch, no Parquet, no plots in a ranker or a joiner."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "pyarrow", "matplotlib", "triton", "pandas")


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
