"""Options that give settings, what several commands share, and words of the command line."""

import ast
import sys
from pathlib import Path

import pytest

from stream_scorer import cli
from stream_scorer.cli.options import check_writable, default_of, one_of
from stream_scorer.errors import UsageError
from stream_scorer.settings_shown import setting_names


def test_unwritable_files_are_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--report .*/nowhere/page.html cannot be written: No such file"):
        check_writable(tmp_path / "nowhere" / "page.html", "--report")
    with pytest.raises(UsageError, match="Is a directory"):
        check_writable(tmp_path, "--out")


def test_the_writable_check_leaves_no_trace(tmp_path: Path) -> None:
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


# options that give a setting by another way than a table {"setting": option}
GIVE_A_SETTING = {
    ("retrain", "labels"): "buffer.folder",
    ("train", "from_buffer"): "buffer.folder",
    ("evaluate", "from_buffer"): "buffer.folder",
    ("publish", "allow_programs"): "rank.programs",
    ("import-towers", "allow_programs"): "rank.programs",
}


def settings_given(command: str) -> dict[str, str]:
    """Return the setting behind each option of a command, read from its source: {"loop.delivery": delivery}."""
    tree = ast.parse((Path(cli.__file__).parent / f"{command.replace('-', '_')}.py").read_text())
    pairs = [
        pair
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for pair in zip(node.keys, node.values, strict=True)
    ]
    return {
        value.id: key.value
        for key, value in pairs
        if isinstance(key, ast.Constant) and key.value in setting_names() and isinstance(value, ast.Name)
    }


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_shows_every_setting_and_its_default(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run([command, "--help"], monkeypatch) == 0
    shown = " ".join(capsys.readouterr().out.split())
    others = [setting for (name, _), setting in GIVE_A_SETTING.items() if name == command]
    for setting in (*settings_given(command).values(), *others):
        assert f"({default_of(setting)})" in shown


def test_the_settings_of_options_are_seen() -> None:
    assert settings_given("serve") == {"delivery": "loop.delivery", "metrics_port": "metrics.port"}


def test_help_shows_the_level_of_logging(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"], monkeypatch) == 0
    assert f"({default_of('log.level')})" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(("value", "end"), [("jion", "got jion: did you mean join?"), ("x", "got x")])
def test_a_value_meets_its_nearest_name(value: str, end: str) -> None:
    with pytest.raises(UsageError) as refused:
        one_of("what", value, ("rank", "join"))
    assert str(refused.value) == f"--what must be one of rank, join, {end}"


@pytest.mark.parametrize("words", [["--config", "~/s.toml", "settings"], ["settings", "--config=~/s.toml"]])
def test_a_tilde_is_the_home_folder(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "s.toml").write_text("loop.poll_s = 7.5")
    assert run(words, monkeypatch) == 0
    assert "7.5" in capsys.readouterr().out
