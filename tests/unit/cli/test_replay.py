"""`replay` sends nothing that the topic cannot take."""

from pathlib import Path

import pytest

from tests.unit.cli.commands import exit_code_of


def test_offers_are_no_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "offers.jsonl").write_text('{"offer_id":"o1","features":{}}\n')
    assert exit_code_of(monkeypatch, "replay", str(tmp_path / "offers.jsonl"), "--topic", "customer-requests") == 2
    assert "request_id, customer_id, event_time_ms are missing" in capsys.readouterr().err
