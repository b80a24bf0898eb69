"""What `settings` prints."""

import json
import sys

import pytest

from stream_scorer import cli
from stream_scorer.settings_shown import setting_names


def printed(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **variables: str
) -> tuple[str, str]:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["stream-scorer", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    said = capsys.readouterr()
    return said.out, said.err


def test_each_setting_is_described(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = printed(["settings", "--describe"], monkeypatch, capsys)
    assert "join.window_ms\n    How long a customer may answer" in out
    assert "whole number >= 0, milliseconds; default 1800000" in out
    out, _ = printed(["settings", "--describe", "--json"], monkeypatch, capsys)
    assert list(json.loads(out)) == setting_names()


def test_variables_of_kubernetes_are_noted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    variables = {"STREAM_SCORER_PORT": "tcp://10.0.0.1:80"}
    out, err = printed(["settings", "--json"], monkeypatch, capsys, **variables)
    assert json.loads(out)["metrics.port"] == {"value": 0, "from": "default"}
    assert "STREAM_SCORER_PORT" in err
