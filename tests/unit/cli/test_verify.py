"""`verify` finds no fault in no buffer."""

from pathlib import Path

import pytest

from tests.unit.cli.commands import exit_code_of


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_missing_named_buffer_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert exit_code_of(monkeypatch, "verify", "--folder", str(tmp_path / name)) == 2
    assert f"no training buffer at {tmp_path / name}" in capsys.readouterr().err
