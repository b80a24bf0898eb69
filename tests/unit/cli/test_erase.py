"""`erase` looks into no folder that is not there."""

from pathlib import Path

import pytest

from tests.unit.cli.commands import exit_code_of


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_missing_buffer_is_wrong_usage(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert exit_code_of(monkeypatch, "erase", "--customer", "c", "--folder", str(tmp_path / name)) == 2
    assert f"no training buffer at {tmp_path / name}" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty"]


@pytest.mark.parametrize("customer", ["", "a\nb", "x" * 257])
def test_an_impossible_id_is_wrong_usage(
    customer: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of(monkeypatch, "erase", "--customer", customer, "--no-buffer") == 2
    assert "--customer must be 1 to 256 printable characters" in capsys.readouterr().err


def test_an_id_with_joiners_is_possible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    joined = "\u0915\u094d\u200d\u0937"  # the contract lets words of Indic scripts be ids
    assert exit_code_of(monkeypatch, "erase", "--customer", joined, "--folder", str(tmp_path / "nowhere")) == 2
    assert "no training buffer at" in capsys.readouterr().err
