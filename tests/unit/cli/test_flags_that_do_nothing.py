"""A flag that would do nothing is refused by name."""

import inspect
import sys
from pathlib import Path

import pytest

from stream_scorer import cli
from stream_scorer.cli import bench

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
def test_h2o_refuses_options_of_torch(
    flag: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "model"
    words = ["train", "--engine", "h2o", "--labels", "l", "--offers", "o", "--out", str(out), *flag]
    assert f"{flag[0]} would do nothing: --engine h2o takes" in refused(words, monkeypatch, capsys)
    assert not out.exists()


def test_every_flag_of_bench_measures_something() -> None:
    flags = inspect.signature(bench.bench).parameters.keys() - {"ctx", "what", "as_json"}
    assert flags == set.union(*bench._USES.values())


TRAIN = ["train", "--labels", "l", "--offers", "o", "--out", "m"]
EVALUATE = ["evaluate", "--labels", "l", "--offers", "o"]
PUBLISH = ["publish", "--offers", "o"]
IMPORT = ["import-towers", "--out", "m"]
ALONE: dict[str, list[tuple[list[str], list[str]]]] = {  # by command: words, and flags that have no effect beside them
    "buffer": [
        (["--compact"], ["--keep-prob 0.5", "--until-idle 5", "--delivery at_least_once", "--metrics-port 9"]),
    ],
    "train": [(TRAIN[1:], ["--tune-seconds 9"])],
    "evaluate": [
        ([*EVALUATE[1:], "--policy", "p"], ["--k 5", "--held-out 0.5", "--temperature 1", "--floor 0.1", "--pool 9"]),
        ([*EVALUATE[1:], "--model", "m", "--policy", "p"], ["--temperature 1", "--floor 0.1", "--pool 9"]),
        ([*EVALUATE[1:], "--model", "m", "--seen", "s"], ["--held-out 0.5"]),
    ],
    "publish": [
        (
            ["--rollback"],
            [
                *["--model m", "--offers o", "--labels l", "--vector-feature v", "--offer-vectors v", "--force"],
                *["--user-program p", "--item-program p", "--customer-vectors v", "--dry-run", "--allow-programs"],
            ],
        ),
        (["--reindex"], ["--rollback", "--to r-1", "--model m", "--offers o", "--index", "--force", "--dry-run"]),
        (["--to", "r-1"], ["--rollback", "--labels l", "--vector-feature v", "--force", "--model m"]),
        ([*PUBLISH[1:], "--model", "m"], ["--vector-feature v"]),
        ([*PUBLISH[1:], "--model", "m", "--dry-run"], ["--keep 5"]),
    ],
    "import-towers": [
        ([*IMPORT[1:], "--offer-vectors", "v", "--customer-vectors", "c"], ["--vector-feature v"]),
        ([*IMPORT[1:], "--item-program", "p"], ["--similarity dot"]),
        ([*IMPORT[1:], "--offer-vectors", "v", "--user-program", "p"], ["--similarity dot", "--vector-feature v"]),
    ],
    "topics": [
        ([], ["--drop-open"]),
        (["--adopt"], ["--partitions 9", "--replication-factor 3"]),
        (["--grow", "9"], ["--partitions 9", "--replication-factor 3"]),
    ],
    "verify": [(["--topics-only"], ["--folder f"])],
    "erase": [
        (["--customer", "c", "--no-buffer"], ["--folder f"]),
        (["--customer", "c", "--dry-run"], ["--wait 5"]),
    ],
    "bench": [
        ([], ["--held 5000", "--rows 5000", "--plot p.png"]),
        (["--what", "join"], ["--rate 9", "--seconds 9", "--rows 5000", "--plot p.png"]),
        (["--what", "train"], ["--offers 9", "--events 5000", "--rounds 2", "--delivery exactly_once", "--held 5000"]),
    ],
}
# all their options act together, or the command refuses a pair by a sentence of its own
FREE = {
    "demo", "up", "serve", "rank", "join", "releases", "refresh", "import-h2o", "retrain", "score", "replay", "convert",
    "doctor", "settings", "check", "dead-letters", "http", "ui",
}  # fmt: skip


def test_every_command_is_looked_at() -> None:
    assert sorted([*ALONE, *FREE]) == sorted(cli.COMMANDS)


@pytest.mark.parametrize(
    ("words", "flag"),
    [([name, *words], flag) for name, each in ALONE.items() for words, flags in each for flag in flags],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_flag_without_effect_is_refused(
    words: list[str], flag: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"{flag.split(maxsplit=1)[0]} would do nothing" in refused([*words, *flag.split()], monkeypatch, capsys)
