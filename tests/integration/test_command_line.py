"""The command line as a process: what people type, what comes back."""

import subprocess
import sys
from pathlib import Path

import pytest

import stream_scorer
from stream_scorer.cli import COMMANDS
from tests.commands import run

HEAVY = ("torch", "pyarrow", "matplotlib", "rich.progress", "numpy", "confluent_kafka", "redis", "pydantic")


def test_help_lists_every_command_that_is_there() -> None:
    shown = run("--help").stdout
    there = [
        name
        for name in COMMANDS
        if (Path(stream_scorer.__file__).parent / "cli" / f"{name.replace('-', '_')}.py").is_file()
    ]
    assert {"rank", "topics", "settings"} <= set(there)
    assert all(f"\n  {name} " in shown for name in there)


def test_help_imports_nothing_heavy() -> None:
    words = (
        "import sys; sys.argv = ['stream-scorer', '--help']\nfrom stream_scorer.cli import main\ntry:\n  "
        "main()\nfinally:\n  "
    )
    shown = subprocess.run(
        [sys.executable, "-c", f"{words}print(*sys.modules, sep='|')"], capture_output=True, text=True, check=True
    )
    assert not set(HEAVY) & set(shown.stdout.splitlines()[-1].split("|"))


def test_version_is_the_packages() -> None:
    first, *libraries = run("--version").stdout.splitlines()
    assert first == f"stream-scorer {stream_scorer.__version__}"
    assert {"python", "confluent-kafka", "librdkafka", "redis", "numpy", "pyarrow"} <= {
        each.split()[0] for each in libraries
    }


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["rnk"], "No such command 'rnk'. Did you mean 'rank'?"),
        (["settings", "--jsn"], "No such option: --jsn"),
        (["--config", "no/such.toml", "settings"], "stream-scorer: no settings file at no/such.toml"),
        (["settings", "--config", "no/such.toml"], "stream-scorer: no settings file at no/such.toml"),
        (
            ["settings", "--log-level", "loud"],
            "stream-scorer: log.level: Input should be 'debug', 'info', 'warning' or 'error', got 'loud'",
        ),
        (["serve", "--rankers", "0", "--joiners", "0"], "stream-scorer: serve needs at least one ranker or joiner"),
        (["replay", "no/such.jsonl", "--topic", "customer-requests"], "stream-scorer: no file at no/such.jsonl"),
    ],
)
def test_wrong_usage_ends_with_a_sentence(words: list[str], sentence: str) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_a_variable_names_the_settings_file(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text("loop.poll_s = 7.5")
    done = run("settings", STREAM_SCORER_CONFIG=str(tmp_path / "s.toml"))
    assert "loop.poll_s                  7.5" in done.stdout
