"""`check` on small files: what it says, and how it ends."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from stream_scorer.cli import app
from stream_scorer.errors import UsageError

Rows = list[dict[str, Any]]

OFFERS: Rows = [{"offer_id": f"o{number}", "features": {"price": 1.5 + number}} for number in range(8)]
LABELS: Rows = [
    {
        "customer_id": f"c{number % 20}",
        "offer_id": f"o{number % 8}",
        "accepted": int(number % 3 == 0),
        "request_time_ms": 1_700_000_000_000 + number,
        "customer_features": {"age": 20 + number % 20},
        "offer_features": {"price": 1.5 + number % 8},
    }
    for number in range(90)
]
REQUESTS: Rows = [
    {
        "request_id": f"r{number}",
        "customer_id": f"c{number}",
        "event_time_ms": 1_700_000_000_000,
        "features": {"age": 30},
        "offers": ["o1"],
    }
    for number in range(4)
]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(offers=OFFERS, labels=LABELS, requests=REQUESTS)


def write(**tables: Rows) -> None:
    for name, rows in tables.items():
        Path(f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))


def check(*words: str) -> Result:
    return CliRunner().invoke(app, ["check", *words], catch_exceptions=False)


def checked(*names: str) -> dict[str, Any]:
    """Check tables by name, all of them where none is named, and return what `--json` prints."""
    words = [word for name in names or ("offers", "labels", "requests") for word in (f"--{name}", f"{name}.jsonl")]
    done = check(*words, "--json")
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.exit_code == (0 if found["good"] else 1)
    return found


def sentences(found: dict[str, Any], state: str) -> list[str]:
    return [f"{line['about']}: {line['says']}" for line in found["lines"] if line["state"] == state]


def test_good_files_are_described_and_suit_training() -> None:
    found = checked()
    assert found["good"]
    assert found["next"] == ["stream-scorer train --labels labels.jsonl --offers offers.jsonl --out model"]
    assert sentences(found, "caution") == []
    assert "offers: offer.price: number, 8 distinct" in sentences(found, "ok")
    assert "labels: 90 labels of 20 customers, 30 accepted" in sentences(found, "ok")
    assert "requests: 4 requests of 4 customers, 4 of customers that labels know" in sentences(found, "ok")


def test_people_read_a_line_for_each() -> None:
    lines = check("--offers", "offers.jsonl").stdout.splitlines()
    assert lines[0] == "ok       offers    8 offers, such as 'o0'"
    assert lines[-2:] == ["next:", "  stream-scorer check --offers offers.jsonl --labels LABELS"]


def test_the_first_bad_rows_are_shown() -> None:
    Path("offers.csv").write_text(
        "offer_id,price,active\n" + "\n".join(f"o{number},{number},maybe" for number in range(7)) + "\ngood,1,true"
    )
    done = check("--offers", "offers.csv")
    assert done.exit_code == 1
    assert "7 rows that are no offers, of which the first 5 are:" in done.stdout
    assert done.stdout.count("active: must be true or false") == 5
    assert "1 offers, such as 'good'" in done.stdout


def test_bad_labels_are_shown_row_by_row() -> None:
    write(labels=[*LABELS[:70], *({**label, "accepted": 0.5} for label in LABELS[70:73])])
    faults = sentences(checked("offers", "labels"), "fault")
    assert [fault.split(": ")[1] for fault in faults] == [
        "labels.jsonl, line 71",
        "labels.jsonl, line 72",
        "labels.jsonl, line 73",
    ]


def test_labels_without_times_are_counted() -> None:
    untimed = [{name: value for name, value in label.items() if name != "request_time_ms"} for label in LABELS[:10]]
    write(labels=[*untimed, *LABELS[10:]])
    assert [caution.partition(" have")[0] for caution in sentences(checked(), "caution")] == ["labels: 10 of 90 labels"]


def test_what_offers_show_is_said_once() -> None:
    alike = {"kind": "snack"}
    write(
        offers=[{**offer, "features": {**offer["features"], **alike}} for offer in OFFERS],
        labels=[{**label, "offer_features": {**label["offer_features"], **alike}} for label in LABELS],
    )
    assert sentences(checked(), "caution") == ["offers: offer.kind is always 'snack': left out"]


def test_ids_that_meet_nowhere_are_a_fault() -> None:
    write(labels=[{**label, "offer_id": label["offer_id"].upper()} for label in LABELS])
    assert any(
        "more than half: the labels have 'O0', the catalog 'o0'" in fault for fault in sentences(checked(), "fault")
    )


def test_requests_of_unknown_offers_are_faults() -> None:
    write(requests=[{**request, "offers": ["O1"]} for request in REQUESTS])
    assert any("none of the 4 offers that requests name" in fault for fault in sentences(checked(), "fault"))


def test_requests_of_another_kind_are_a_fault() -> None:
    write(requests=[{**request, "features": {"age": "thirty"}} for request in REQUESTS])
    assert "requests: row 1: feature 'age' must be a number, got string (feature_kind)" in sentences(checked(), "fault")


def test_requests_lacking_model_features_are_faults() -> None:
    write(requests=[{**request, "features": {"Age": 30}} for request in REQUESTS])
    found = checked()
    assert "requests: 0 of 1 features that the model reads are in the file (age); the file has Age" in sentences(
        found, "fault"
    )
    assert sentences(found, "caution") == []  # the fault says it all


def test_seconds_and_unread_fields_are_cautioned_about() -> None:
    write(requests=[{**request, "event_time_ms": 1_700_000_000, "age": 3} for request in REQUESTS])
    cautions = sentences(checked("offers", "requests"), "caution")
    assert any("columns that no requests have are left out (age)" in caution for caution in cautions)
    assert any("event_time_ms looks like seconds (1700000000)" in caution for caution in cautions)


def test_folder_of_offers_is_read_and_refused() -> None:
    Path("folder").mkdir()
    for name in ("one", "two"):
        Path(f"folder/{name}.jsonl").write_text(json.dumps({"offer_id": name, "features": {"price": 1}}))
    done = check("--offers", "folder")
    assert done.exit_code == 1
    assert "2 offers, such as 'one'" in done.stdout
    assert "read offers from one file" in done.stdout


@pytest.mark.parametrize(
    "words", [[], ["--offers", "missing.jsonl"], ["--labels", "missing"], ["--requests", "file.txt"]]
)
def test_what_is_not_there_is_wrong_usage(words: list[str]) -> None:
    with pytest.raises(UsageError):
        check(*words)
