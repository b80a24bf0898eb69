"""Where rivals live: one environment for each set of requirements, made whole or not at all."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from stream_scorer.bench.rivals.contenders import RIVALS, RivalProgram
from stream_scorer.bench.rivals.costs import contenders
from stream_scorer.bench.rivals.environments import environment_name, interpreter_of
from stream_scorer.errors import StreamScorerError

NOWHERE = RivalProgram("nobody", "nobody.py", "at_most_once", ("./no-such-folder",))


def test_whoever_needs_nothing_runs_here(tmp_path: Path) -> None:
    assert interpreter_of(replace(NOWHERE, requires=()), tmp_path) == sys.executable


def test_other_requirements_have_another_environment() -> None:
    assert environment_name(NOWHERE) != environment_name(replace(NOWHERE, requires=("other",)))


def test_an_environment_that_fails_is_said(tmp_path: Path) -> None:
    (tmp_path / "rivals").write_text("a file where the folder should be")
    with pytest.raises(StreamScorerError, match="no environment for nobody"):
        interpreter_of(NOWHERE, tmp_path)


def test_an_environment_made_before_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "rivals" / environment_name(NOWHERE)
    folder.mkdir(parents=True)
    (folder / "made").touch()
    assert interpreter_of(NOWHERE, tmp_path) == str(folder / "bin" / "python")


def test_rivals_without_environments_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "rivals").write_text("a file where the folder should be")
    said: list[str] = []
    them = contenders(tmp_path, said.append)
    assert [one.name for one in them] == ["stream-scorer rank", "stream-scorer rank", "a tutorial's loop"]
    assert len(said) == sum(bool(rival.requires) for rival in RIVALS)
