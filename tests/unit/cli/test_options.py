"""Options that give settings, what several commands share, and words of the command line."""

import sys
from pathlib import Path

import pytest

from stream_scorer import cli
from stream_scorer.cli.options import check_writable
from stream_scorer.errors import UsageError


def test_a_file_that_could_not_be_written_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--report .*/nowhere/page.html cannot be written: No such file"):
        check_writable(tmp_path / "nowhere" / "page.html", "--report")
    with pytest.raises(UsageError, match="Is a directory"):
        check_writable(tmp_path, "--out")


def test_looking_makes_no_file_and_leaves_one_as_it_is(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("kept")
    for path in (there, tmp_path / "new", None):
        check_writable(path, "--out")
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("there", "kept")]


def run(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["stream-scorer", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    ("command", "defaults"),
    [
        ("rank", ["loop.delivery: exactly_once", "loop.instance: null", "metrics.port: 0"]),
        ("join", ["join.emit: at_once"]),
        ("buffer", ["buffer.folder: training-buffer", "buffer.keep_prob: 1.0", "metrics.port: 0"]),
        ("topics", ["topics.partitions: 8", "topics.replication_factor: 1"]),
        ("serve", ["metrics.port: 0"]),
        ("refresh", ["metrics.port: 0"]),
        ("retrain", ["metrics.port: 0"]),
        ("up", ["topics.partitions: 8"]),
        ("verify", ["buffer.folder: training-buffer"]),
        ("erase", ["buffer.folder: training-buffer"]),
    ],
)
def test_help_shows_the_setting_of_an_option_and_its_default(
    command: str, defaults: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run([command, "--help"], monkeypatch) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for default in defaults:
        assert f"({default})" in shown


@pytest.mark.parametrize("words", [["--config", "~/s.toml", "settings"], ["settings", "--config=~/s.toml"]])
def test_a_tilde_is_the_home_folder_where_no_shell_expands_it(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "s.toml").write_text("loop.poll_s = 7.5")
    assert run(words, monkeypatch) == 0
    assert "7.5" in capsys.readouterr().out
