"""Every expected error becomes one sentence and an exit code in one place."""

import errno

import pytest

from stream_scorer import cli
from stream_scorer.errors import BadModel, NotReady, StreamScorerError, TransientError, UsageError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("no"), 2),
        (NotReady("no"), 1),
        (BadModel("no"), 1),
        (TransientError("no"), 1),
        (StreamScorerError("no"), 1),
    ],
)
def test_wrong_usage_alone_exits_with_2(
    error: StreamScorerError, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "app", _raising(error))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == code
    assert capsys.readouterr().err == "stream-scorer: no\n"


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cli, "app", _raising(ModuleNotFoundError(name="pyarrow")))
    with pytest.raises(SystemExit):
        cli.main()
    assert "pip install '.[parquet]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (FileNotFoundError(2, "No such file or directory", "offers.csv"), 2, "offers.csv: No such file or directory"),
        (OSError(28, "No space left on device"), 1, "No space left on device"),
        (OSError("When resolving region for bucket 'x': not found"), 1, "When resolving region for bucket"),
    ],
)
def test_file_errors_give_a_sentence(
    error: OSError, code: int, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "app", _raising(error))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == code
    assert capsys.readouterr().err.startswith(f"stream-scorer: {sentence}")


def test_our_own_mistakes_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "app", _raising(ModuleNotFoundError(name="stream_scorer.nowhere")))
    with pytest.raises(ModuleNotFoundError):
        cli.main()


def test_a_full_disk_is_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cli, "app", _raising(OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == "stream-scorer: No space left on device\n"


def _raising(error: Exception) -> object:
    def app(**options: object) -> None:
        raise error

    return app
