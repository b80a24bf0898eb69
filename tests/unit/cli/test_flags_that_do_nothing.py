"""A flag that would do nothing is refused by name."""

import sys
from pathlib import Path

import pytest

from stream_scorer import cli

TORCH_ALONE = [
    ("--width", "8"), ("--batch-rows", "9"), ("--learning-rate", "0.1"), ("--prior", "1"), ("--temperature", "1"),
    ("--history",), ("--refit",), ("--tune",), ("--tune-seconds", "5"), ("--members", "2"), ("--warm-start", "m"),
    ("--held-out", "0.2"), ("--objective", "shown"), ("--customer-id", "on"), ("--offer-id", "on"), ("--device", "cpu"),
]  # fmt: skip


def refused(words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(sys, "argv", ["stream-scorer", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("flag", TORCH_ALONE, ids=" ".join)
def test_the_h2o_engine_refuses_what_only_torch_takes(
    flag: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model"
    words = ["train", "--engine", "h2o", "--labels", "l", "--offers", "o", "--out", str(out), *flag]
    assert f"{flag[0]} would do nothing: --engine h2o takes" in refused(words, monkeypatch, capsys)
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        (["train", "--labels", "l", "--offers", "o", "--out", "m", "--tune-seconds", "9"], "--tune-seconds"),
        (["buffer", "--compact", "--keep-prob", "0.5"], "--keep-prob"),
        (["buffer", "--compact", "--until-idle", "5"], "--until-idle"),
        (["verify", "--topics-only", "--folder", "f"], "--folder"),
    ],
)
def test_a_flag_of_another_way_to_work_is_refused(
    words: list[str], flag: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"{flag} would do nothing" in refused(words, monkeypatch, capsys)
