"""A bar that knows how much there is."""

import sys
from unittest import mock

import pytest
from rich.progress import Progress

from stream_scorer.cli.progress import progress_over


def test_the_bar_moves_with_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with mock.patch.object(Progress, "update") as update, progress_over("verified") as say:
        say(25, 100)
        say(100, 100)
    assert [call.kwargs["completed"] for call in update.call_args_list] == [0.25, 1.0]
