"""What the demo reads in the output of the commands that it runs."""

import pytest

from stream_scorer import cli
from stream_scorer.demo.ring import refusal
from stream_scorer.errors import BadModel, GateRefusal, StreamScorerError

pytestmark = pytest.mark.usefixtures("own_logging")


def output_of(error: StreamScorerError, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a command of ours that ends so writes where the settings ask for JSON, as the demo's do."""

    def ends(**_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "app", ends)
    monkeypatch.setenv("STREAM_SCORER_LOG__FORMAT", "json")
    with pytest.raises(SystemExit):
        cli.main()
    return capsys.readouterr().err.strip()


def test_a_gates_refusal_is_understood(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    output = output_of(GateRefusal("refused: 3 vectors are zero"), monkeypatch, capsys)
    assert refusal(f"caution: few customers\n{output}") == "3 vectors are zero"


def test_other_ends_are_no_refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(output_of(BadModel("refused: no such tower"), monkeypatch, capsys)) is None
    assert refusal("") is None
    assert refusal("release r-1 serves now") is None
    assert refusal("12") is None
