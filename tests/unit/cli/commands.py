"""Runs a command of ours in this process."""

import sys

import pytest

from stream_scorer import cli


def exit_code_of(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run `stream-scorer` with these words and return its exit code; whatever else it raises is a fault of ours."""
    monkeypatch.setattr(sys, "argv", ["stream-scorer", *words])
    try:
        cli.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0
