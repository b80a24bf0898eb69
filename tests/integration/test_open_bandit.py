"""Logs of a real shop through the whole ring: none lost or doubled, and both sides' features on accepted offers."""

import os
from collections import Counter
from pathlib import Path

import pytest

from stream_scorer.adapters.files.open_bandit import OpenBandit
from tests.open_bandit_samples import made_up_model, write_log
from tests.ring import Ring, values

DELIVERIES = ["exactly_once", "at_least_once"]


@pytest.fixture
def random_men() -> Path:
    """The folder of the data set, by OPEN_BANDIT_DIR or beside the checkout; the data are not ours to ship."""
    named = os.environ.get("OPEN_BANDIT_DIR")
    folder = (Path(named) if named else Path(__file__).parents[3] / "shared" / "data" / "open-bandit") / "random-men"
    if not folder.is_dir():
        pytest.skip(
            f"the Open Bandit Dataset is not at {folder}: set OPEN_BANDIT_DIR to the folder that holds random-men"
        )
    return folder


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_a_small_log_is_ranked_and_labelled(ring: Ring, tmp_path: Path, delivery: str) -> None:
    log = write_log(tmp_path / "small", rows=300, clicks=7)
    check_log(ring, log, tmp_path, delivery=delivery, requests=300, clicks=7)


@pytest.mark.may_skip
@pytest.mark.timeout(300)
@pytest.mark.parametrize("delivery", DELIVERIES)
def test_random_men_goes_through_whole(ring: Ring, random_men: Path, tmp_path: Path, delivery: str) -> None:
    check_log(ring, random_men, tmp_path, delivery=delivery, requests=10_000, clicks=46)


def check_log(ring: Ring, log: Path, folder: Path, *, delivery: str, requests: int, clicks: int) -> None:
    bandit = OpenBandit.at(log)
    asked = [request for request, _ in bandit.events()]
    ring.publish(made_up_model(asked, bandit.offers()), bandit.offers())
    run_log(ring, log, folder, delivery=delivery)
    rankings, labels = values(ring.read(ring.topics.rankings)), values(ring.read(ring.topics.labels))
    assert Counter(ranking["request_id"] for ranking in rankings) == Counter(request.request_id for request in asked)
    assert len(rankings) == requests
    assert all(len(ranking["offers"]) == 34 for ranking in rankings)
    check_labels(labels, bandit, clicks)
    assert ring.read(ring.topics.dead_letters) == []


def run_log(ring: Ring, log: Path, folder: Path, *, delivery: str) -> None:
    """Convert, replay, rank and join by the commands that people type."""
    events = folder / "events"
    ring.run("convert", "open-bandit", str(log), "--out", str(events), log=folder / "convert.log")
    for name in ("requests", "acceptances"):
        ring.run(
            "replay", str(events / f"{name}.jsonl"), "--topic", getattr(ring.topics, name), log=folder / "replay.log"
        )
    for job in ("rank", "join"):
        ring.run(job, "--delivery", delivery, "--until-idle", "1", log=folder / f"{job}.log")


def check_labels(labels: list[dict[str, object]], bandit: OpenBandit, clicks: int) -> None:
    """An accepted offer per click, and both sides' features as they were in the log."""
    latest = {label["request_id"]: label for label in sorted(labels, key=lambda label: label["revision"])}  # type: ignore[arg-type, return-value]
    accepted = {
        (label["request_id"], offer["offer_id"]): (label["features"], offer["features"])
        for label in latest.values()
        for offer in label["offers"]  # type: ignore[attr-defined]
        if offer["accepted"] == 1
    }
    shown = {offer.offer_id: offer.features for offer in bandit.offers()}
    clicked = [(request, click) for request, click in bandit.events() if click is not None]
    assert len(clicked) == clicks
    assert accepted == {
        (request.request_id, click.offer_id): (request.features, shown[click.offer_id]) for request, click in clicked
    }
