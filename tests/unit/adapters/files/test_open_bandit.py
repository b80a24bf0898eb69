"""The Open Bandit Dataset's rows as events."""

from pathlib import Path

import pytest

from stream_scorer.adapters.files.open_bandit import OpenBandit
from stream_scorer.core.messages import Acceptance, CustomerRequest
from stream_scorer.core.records import Record
from stream_scorer.core.wire.codec import decode_all, encode
from stream_scorer.errors import UsageError
from tests.open_bandit_samples import write_log


@pytest.fixture
def bandit(tmp_path: Path) -> OpenBandit:
    return OpenBandit.at(write_log(tmp_path / "small", rows=40, clicks=4))


def test_rows_are_requests_and_clicks_acceptances(bandit: OpenBandit) -> None:
    events = list(bandit.events())
    assert [request.request_id for request, _ in events] == [f"small-{number}" for number in range(40)]
    assert all(request.limit == 34 and request.offers is None for request, _ in events)
    clicked = [(request, click) for request, click in events if click is not None]
    assert len(clicked) == 4
    assert all(click.event_time_ms > request.event_time_ms == click.request_time_ms for request, click in clicked)
    assert all(
        (click.request_id, click.customer_id) == (request.request_id, request.customer_id) for request, click in clicked
    )


def test_features_are_the_logs_texts_and_numbers(bandit: OpenBandit) -> None:
    request, _ = next(iter(bandit.events()))
    assert len(request.features) == 4 + 34
    assert all(isinstance(request.features[f"user_feature_{place}"], str) for place in range(4))
    assert all(isinstance(request.features[f"user-item_affinity_{item}"], float) for item in range(34))


def test_the_user_features_stand_for_the_customer(bandit: OpenBandit) -> None:
    by_features: dict[tuple[object, ...], set[str]] = {}
    for request, _ in bandit.events():
        by_features.setdefault(tuple(request.features[f"user_feature_{place}"] for place in range(4)), set()).add(
            request.customer_id
        )
    assert all(len(ids) == 1 for ids in by_features.values())
    assert len({next(iter(ids)) for ids in by_features.values()}) == len(by_features)


def test_times_are_milliseconds_since_the_epoch(bandit: OpenBandit) -> None:
    first, _ = next(iter(bandit.events()))
    assert first.event_time_ms == 1_574_553_600_000  # 2019-11-24 00:00:00 UTC


def test_a_row_is_an_example_as_logged(bandit: OpenBandit) -> None:
    examples, events = list(bandit.examples()), list(bandit.events())
    assert [(one.request_id, one.customer_features) for one in examples] == [
        (one.request_id, one.features) for one, _ in events
    ]
    assert [one.accepted for one in examples] == [0 if click is None else 1 for _, click in events]
    assert {one.rank for one in examples} == {1, 2, 3}
    assert all(one.propensity == 1 / 34 for one in examples)
    features = {offer.offer_id: offer.features for offer in bandit.offers()}
    assert all(one.offer_features == features[one.offer_id] for one in examples)


def test_every_event_is_valid_on_the_wire(bandit: OpenBandit) -> None:
    events = list(bandit.events())
    for kind, messages in (
        (CustomerRequest, [request for request, _ in events]),
        (Acceptance, [click for _, click in events if click]),
    ):
        records = [Record("t", 0, number, None, encode(message), 0) for number, message in enumerate(messages)]
        decoded = decode_all(records, kind)
        assert decoded.dead_letters == []
        assert decoded.messages == messages


def test_a_folder_without_campaign_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"must hold item_context\.csv and one log"):
        OpenBandit.at(tmp_path)
