"""What is logged, and what else becomes a line of the log."""

import io
import json
import logging
import sys
import threading
import warnings
from typing import Any

import pytest
import structlog

from stream_scorer import cli
from stream_scorer.adapters.kafka.client_log import ClientLog
from stream_scorer.logs import every_line_is_json, log_end, set_up_logging
from stream_scorer.settings import LogSettings

Captured = pytest.CaptureFixture[str]


pytestmark = pytest.mark.usefixtures("own_logging")


def lines(captured: Captured) -> list[dict[str, Any]]:
    return [json.loads(line) for line in captured.readouterr().err.splitlines()]


def test_logs_are_json_without_a_terminal(capsys: Captured) -> None:
    set_up_logging(LogSettings(level="warning", format="auto"))
    structlog.get_logger().info("unheard")
    structlog.get_logger().warning("batch_aborted", records=3)
    [line] = lines(capsys)
    assert (line["event"], line["level"], line["records"]) == ("batch_aborted", "warning", 3)


def test_logs_follow_the_present_stderr(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    with io.StringIO() as closed_soon, monkeypatch.context() as patch:
        patch.setattr("sys.stderr", closed_soon)
        set_up_logging(LogSettings())
    structlog.get_logger().warning("later")
    assert lines(capsys)[0]["event"] == "later"


def test_a_line_is_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    class Writes(io.StringIO):
        def write(self, text: str) -> int:
            written.append(text)
            return len(text)

    written: list[str] = []
    with Writes() as stderr, monkeypatch.context() as patch:
        patch.setattr("sys.stderr", stderr)
        set_up_logging(LogSettings(format="json"))
        structlog.get_logger().warning("late")
    assert [line[-2:] for line in written] == ["}\n"]


def test_lines_of_threads_name_the_worker(capsys: Captured) -> None:
    set_up_logging(LogSettings(), instance="ring-rankers-0")
    thread = threading.Thread(target=structlog.get_logger().warning, args=("restored",))
    thread.start()
    thread.join()
    assert lines(capsys)[0]["instance"] == "ring-rankers-0"


def test_lines_of_librdkafka_name_the_worker(capsys: Captured) -> None:
    set_up_logging(LogSettings(), instance="ring-rankers-0")
    ClientLog().log(logging.WARNING, "", "FAIL", "rdkafka#producer-1", "[thrd:main]: connection refused")
    [line] = lines(capsys)
    assert (line["instance"], line["reason"]) == ("ring-rankers-0", "connection refused")


def test_text_for_people_names_no_worker(capsys: Captured) -> None:
    set_up_logging(LogSettings(format="console"), instance="ring-rankers-0")
    structlog.get_logger().warning("restored")
    assert "ring-rankers-0" not in capsys.readouterr().err


def test_only_wholly_json_takes_in_libraries(capsys: Captured) -> None:
    set_up_logging(LogSettings(format="auto"))
    assert not every_line_is_json()
    set_up_logging(LogSettings(format="json"), instance="w")
    assert every_line_is_json()
    logging.getLogger("pyarrow").warning("slow %s", "disk")
    [line] = lines(capsys)
    assert (line["event"], line["logger"], line["reason"], line["instance"]) == (
        "library_log",
        "pyarrow",
        "slow disk",
        "w",
    )


def test_levels_between_count_as_the_lower(capsys: Captured) -> None:
    set_up_logging(LogSettings(format="json"))
    logging.getLogger("pyarrow").log(logging.WARNING + 5, "slow disk")
    [line] = lines(capsys)
    assert line["level"] == "warning"


def test_a_warning_is_a_line_too(capsys: Captured) -> None:
    set_up_logging(LogSettings(format="json"))
    warnings.showwarning("soon gone", DeprecationWarning, "module.py", 1)
    [line] = lines(capsys)
    assert line["logger"] == "py.warnings"
    assert "soon gone" in line["reason"]


def test_a_crash_is_a_single_line(capsys: Captured) -> None:
    set_up_logging(LogSettings(format="json"))
    sys.excepthook(ValueError, ValueError("no such thing"), None)
    [line] = lines(capsys)
    assert (line["event"], line["reason"]) == ("crashed", "ValueError: no such thing")
    assert line["exception"] == "ValueError: no such thing"


def test_a_thread_crash_names_its_thread(capsys: Captured) -> None:
    set_up_logging(LogSettings(format="json"))
    error = ValueError("no such thing")
    thread = threading.Thread(name="restore")
    threading.excepthook(threading.ExceptHookArgs((ValueError, error, None, thread)))
    threading.excepthook(threading.ExceptHookArgs((SystemExit, SystemExit(), None, thread)))
    [line] = lines(capsys)
    assert (line["event"], line["thread"]) == ("crashed", "restore")


@pytest.mark.parametrize(("code", "level"), [(0, "info"), (1, "error")])
def test_the_end_is_logged(code: int, level: str, capsys: Captured) -> None:
    set_up_logging(LogSettings(format="json"))
    log_end("no broker answers", code, "NotReady")
    [line] = lines(capsys)
    ended = {"reason": "no broker answers", "exit_code": code, "error": "NotReady", "level": level}
    assert ended.items() <= line.items()


@pytest.mark.parametrize("variable", ["STREAM_SCORER_LOG__FORMAT", "stream_scorer_log__format"])
def test_wrong_settings_end_in_json_too(variable: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setenv(variable, "json")
    monkeypatch.setenv("STREAM_SCORER_JOIN__WINDOW", "3")
    monkeypatch.setattr("sys.argv", ["stream-scorer", "topics"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    [line] = lines(capsys)
    assert ended.value.code == line["exit_code"] == 2
    assert line["reason"].startswith("no such setting: STREAM_SCORER_JOIN__WINDOW")
