"""What a shell offers after a word: commands, and the options of the command that stands there."""

import pytest
import typer

from stream_scorer.cli import COMMANDS, app


def offered(command: str, incomplete: str) -> set[str]:
    root = typer.main.get_command(app)
    inner = root.commands[command]  # type: ignore[attr-defined]
    context = typer.Context(inner, parent=typer.Context(root, info_name="stream-scorer"), info_name=command)
    return {each.value for each in inner.shell_complete(context, incomplete)}


def test_a_commands_own_options_are_offered() -> None:
    assert offered("score", "--re") == {"--requests", "--release"}
    assert {"--config", "--log-level", "--tune-seconds"} <= offered("train", "--")


def test_a_commands_own_commands_are_offered() -> None:
    assert offered("dead-letters", "") == {"list", "show", "resend"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_can_be_completed(command: str) -> None:
    assert "--help" in offered(command, "--h")
