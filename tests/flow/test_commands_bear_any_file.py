"""Commands on damaged files: whatever the bytes are, they end with 0, 1 or 2 and a sentence, never with a traceback."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from stream_scorer.adapters.memory.releases import MemoryReleases
from stream_scorer.cli import app
from stream_scorer.core.wire.codec import encode
from stream_scorer.errors import StreamScorerError
from stream_scorer.simulation.world import World
from stream_scorer.wiring import stores
from tests.open_bandit_samples import write_log

WORLD = World.of(3, customers=30, offers=10, popularity_rate=0.5)
ODD: list[Any] = [
    *(None, True, "", "x", "\ud800", 0, -1, 2**31, 2**63, 1e308, 0.5, [], [1], ["a"], [None], {}, {"a": {"b": 1}}),
    *([[1.0]], "NaN", {"kind": "number"}, [{}]),
]
PIECES = [
    *(b"\x00", b"\xff", b"\xef\xbb\xbf", b'"', b"{", b"}", b"\n", b",", b"null", b"NaN", b"1e999", b"-1", b"[]", b" "),
    *(b"[" * 3_000, b'{"a":' * 3_000, b'{"a":1,"a":2}', b"9" * 400),
]

Damage = Callable[[bytes], bytes]


def inserted(at: float, piece: bytes) -> Damage:
    return lambda data: data[: int(at * len(data))] + piece + data[int(at * len(data)) :]


def cut(at: float, count: int) -> Damage:
    return lambda data: data[: int(at * len(data))] + data[int(at * len(data)) + count :]


def ended(at: float) -> Damage:
    return lambda data: data[: int(at * len(data))]


def odd_value(at: float, depth: float, value: Any) -> Damage:
    """Replace one value somewhere in a JSON document, or in one line of JSON lines."""

    def damage(data: bytes) -> bytes:
        documents = [data] if data.lstrip()[:2] in (b"{\n", b"{ ") else data.split(b"\n")
        number = int(at * (len(documents) - 1))
        try:
            document = json.loads(documents[number])
        except ValueError:
            return data
        places = list(_places(document))
        if places:
            holder, key = places[int(depth * (len(places) - 1))]
            holder[key] = value
        documents[number] = json.dumps(document).encode()
        return b"\n".join(documents)

    return damage


def _places(node: Any) -> Any:
    for key, value in list(node.items()) if isinstance(node, dict) else list(enumerate(node)):
        yield node, key
        if isinstance(value, dict | list):
            yield from _places(value)


SHARES = st.floats(0, 1, exclude_max=True)
DAMAGES = st.one_of(
    st.builds(odd_value, SHARES, SHARES, st.sampled_from(ODD)),
    st.builds(inserted, SHARES, st.sampled_from(PIECES)),
    st.builds(cut, SHARES, st.integers(1, 40)),
    st.builds(ended, SHARES),
)


def bounded(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    quiet = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=examples, deadline=None, suppress_health_check=quiet, derandomize=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("whole")
    log = WORLD.log(np.random.default_rng(1), 120, start_ms=1_700_000_000_000, random_share=1.0)
    (made / "labels.jsonl").write_bytes(b"".join(encode(example) + b"\n" for example in log))
    (made / "offers.jsonl").write_bytes(b"".join(encode(offer) + b"\n" for offer in WORLD.offers()))
    rows = [f"{offer.offer_id},{number},{number % 2 == 0}" for number, offer in enumerate(WORLD.offers())]
    (made / "offers.csv").write_text("\n".join(["offer_id,price,active", *rows]))
    request = {"request_id": "r", "customer_id": "c", "event_time_ms": 1, "features": {"age": 3}, "limit": 2}
    (made / "requests.jsonl").write_text("\n".join(json.dumps({**request, "request_id": f"r{n}"}) for n in range(5)))
    table = [{"offer_id": offer.offer_id, "rank": 1, "probability": 0.1} for offer in WORLD.offers()]
    (made / "policy.jsonl").write_text("\n".join(map(json.dumps, table)))
    write_log(made / "bandit", rows=20, clicks=5)
    assert outcome("train", made, "--epochs", "1", "--dim", "4", "--width", "2") == 0
    return made


def outcome(command: str, folder: Path, *more: str, offers: str = "offers.jsonl") -> int:
    """Run a command on the folder's files, and return the exit code with which `main` would end."""
    files = {
        "train": ["--labels", "labels.jsonl", "--offers", offers, "--out", "model"],
        "evaluate": ["--labels", "labels.jsonl", "--offers", offers, "--model", "model", "--report", "page.html"],
        "table": ["--labels", "labels.jsonl", "--offers", offers, "--policy", "policy.jsonl"],
        "score": ["--requests", "requests.jsonl", "--offers", offers, "--model", "model", "--out", "out.jsonl"],
        "publish": ["--offers", offers, "--model", "model"],
        "check": ["--labels", "labels.jsonl", "--offers", offers, "--requests", "requests.jsonl", "--model", "model"],
        "convert": ["open-bandit", "bandit", "--out", "events"],
    }[command]
    named = [str(folder / word) if (folder / word).exists() or "." in word or word in _MADE else word for word in files]
    done = CliRunner().invoke(app, [{"table": "evaluate"}.get(command, command), *named, *more])
    if done.exception is None or isinstance(done.exception, SystemExit):
        return done.exit_code
    if not isinstance(done.exception, StreamScorerError | OSError):
        raise done.exception
    assert str(done.exception).strip()
    return 1


_MADE = ("model", "events")


def damaged(whole: Path, file: str, damages: list[Damage]) -> Path:
    """Copy the folder to one beside it, and damage one of the copied files."""
    copy = whole.parent / "damaged"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(whole, copy)
    data = (copy / file).read_bytes()
    for damage in damages:
        data = damage(data)
    (copy / file).write_bytes(data)
    return copy


FEW = st.lists(DAMAGES, min_size=1, max_size=3)


@bounded(12)
@given(file=st.sampled_from(["labels.jsonl", "offers.jsonl"]), damages=FEW)
def test_train_bears_any_file(whole: Path, file: str, damages: list[Damage]) -> None:
    assert outcome("train", damaged(whole, file, damages), "--epochs", "1", "--dim", "4") in (0, 1, 2)


@bounded(25)
@given(file=st.sampled_from(["labels.jsonl", "offers.jsonl", "model/manifest.json"]), damages=FEW)
def test_evaluate_bears_any_file(whole: Path, file: str, damages: list[Damage]) -> None:
    assert outcome("evaluate", damaged(whole, file, damages)) in (0, 1, 2)


@bounded(25)
@given(file=st.sampled_from(["labels.jsonl", "policy.jsonl"]), damages=FEW)
def test_evaluate_of_a_table_bears_any_file(whole: Path, file: str, damages: list[Damage]) -> None:
    assert outcome("table", damaged(whole, file, damages)) in (0, 1, 2)


@bounded(60)
@given(
    file=st.sampled_from(["requests.jsonl", "offers.jsonl", "model/manifest.json", "model/model.safetensors"]),
    damages=FEW,
)
def test_score_bears_any_file(whole: Path, file: str, damages: list[Damage]) -> None:
    assert outcome("score", damaged(whole, file, damages)) in (0, 1, 2)


@bounded(60)
@given(file=st.sampled_from(["offers.jsonl", "offers.csv", "model/manifest.json"]), damages=FEW)
def test_publish_bears_any_file(whole: Path, file: str, damages: list[Damage], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "release_store", lambda settings: MemoryReleases())
    offers = file if file.startswith("offers") else "offers.jsonl"
    assert outcome("publish", damaged(whole, file, damages), offers=offers) in (0, 1, 2)


@bounded(40)
@given(
    file=st.sampled_from(["labels.jsonl", "offers.jsonl", "offers.csv", "requests.jsonl", "model/manifest.json"]),
    damages=FEW,
)
def test_check_bears_any_file(whole: Path, file: str, damages: list[Damage]) -> None:
    offers = file if file.startswith("offers") else "offers.jsonl"
    assert outcome("check", damaged(whole, file, damages), offers=offers) in (0, 1, 2)


@bounded(60)
@given(file=st.sampled_from(["bandit/men.csv", "bandit/item_context.csv"]), damages=FEW)
def test_convert_bears_any_file(whole: Path, file: str, damages: list[Damage]) -> None:
    assert outcome("convert", damaged(whole, file, damages)) in (0, 1, 2)


@pytest.mark.parametrize("command", ["train", "evaluate", "retrain", "buffer", "verify", "erase"])
def test_an_unreachable_bucket_is_reported(whole: Path, command: str) -> None:
    place, offers, model = "s3://no-such-bucket-of-stream-scorer/x", str(whole / "offers.jsonl"), str(whole / "model")
    words = {
        "train": ["--labels", place, "--offers", offers, "--out", str(whole.parent / "new")],
        "evaluate": ["--labels", place, "--offers", offers, "--model", model],
        "retrain": ["--labels", place, "--offers", offers, "--out", str(whole.parent / "new")],
        "buffer": ["--folder", place],
        "verify": ["--folder", place],
        "erase": ["--customer", "c", "--folder", place],
    }[command]
    done = CliRunner().invoke(app, [command, *words])
    said = f"{done.exception}" + done.output
    assert isinstance(done.exception, StreamScorerError | SystemExit)
    assert done.exit_code in (1, 2)
    assert "no-such-bucket-of-stream-scorer" in said
