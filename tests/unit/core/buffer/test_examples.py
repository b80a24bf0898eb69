"""Labelled rankings taken apart."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from stream_scorer.core.buffer.examples import example_id, half_labelled, is_kept, take_apart
from stream_scorer.core.messages import LabelledExample, LabelledOffer, LabelledRanking


def labelled(*offers: LabelledOffer) -> LabelledRanking:
    return LabelledRanking("r1", 2, True, "c1", 1_000, "release", {"age": 30.0}, list(offers))


def offer(
    name: str, accepted: int | None, cause: str | None, time_ms: int | None = 2_000, rank: int = 1
) -> LabelledOffer:
    return LabelledOffer(name, rank, 0.5, 1.0, {"price": 9.0}, accepted, cause, time_ms)  # type: ignore[arg-type]


def test_rows_carry_both_sides_as_ranked() -> None:
    (row,) = take_apart(labelled(offer("o1", 1, "accepted")))
    assert row.to_message() == LabelledExample(
        example_id=example_id("r1", "c1", "o1"),
        revision=2,
        request_id="r1",
        customer_id="c1",
        offer_id="o1",
        accepted=1,
        cause="accepted",
        customer_features={"age": 30.0},
        offer_features={"price": 9.0},
        rank=1,
        score=0.5,
        propensity=1.0,
        release_id="release",
        request_time_ms=1_000,
        label_time_ms=2_000,
        exposure="shown",
        keep_prob=1.0,
    )


def test_rows_carry_what_a_reranker_added() -> None:
    reranked = replace(offer("o1", 1, "accepted"), tower_rank=7, reranker_score=-0.25)
    (row,) = take_apart(labelled(reranked))
    assert (row.to_message().tower_rank, row.to_message().reranker_score) == (7, -0.25)


def test_unlabelled_offers_have_no_row() -> None:
    rows = take_apart(labelled(offer("o1", None, None, None), offer("o2", 0, "declined", rank=2)))
    assert [row.offer_id for row in rows] == ["o2"]


def test_only_answered_offers_count_as_shown() -> None:
    causes = ["accepted", "declined", "late_acceptance", "window_closed"]
    rows = take_apart(labelled(*(offer(cause, int("acc" in cause), cause) for cause in causes)))
    assert [row.exposure for row in rows] == ["shown", "shown", "shown", "assumed"]


def test_an_example_id_never_changes() -> None:
    assert example_id("r1", "c1", "o1") == "b7edfff9e79ab6823b9683e3c2663612"
    assert len({example_id("r", "1c1", "o1"), example_id("r1", "c1", "o1"), example_id("r1", "c", "1o1")}) == 3


def test_customers_sharing_ids_share_no_example() -> None:
    first, second = (replace(labelled(offer("o1", 1, "accepted")), customer_id=name) for name in ("c1", "c2"))
    ids = [row.example_id for ranking in (first, second) for row in take_apart(ranking)]
    assert len(set(ids)) == 2


def test_sampling_keeps_answers_and_a_share() -> None:
    offers = [offer(f"n{place}", 0, "window_closed") for place in range(900)]
    rows = list(take_apart(labelled(offer("yes", 1, "accepted"), offer("no", 0, "declined"), *offers), keep_prob=0.25))
    assert [row.keep_prob for row in rows[:2]] == [1.0, 1.0]
    assert {row.keep_prob for row in rows[2:]} == {0.25}
    assert 180 < len(rows[2:]) < 270


@given(st.text(), st.floats(0.01, 1), st.floats(0.01, 1))
def test_smaller_samples_lie_within_larger_ones(example: str, one: float, other: float) -> None:
    smaller, larger = sorted((one, other))
    assert not is_kept(example, smaller) or is_kept(example, larger)


def test_a_label_without_its_cause_is_named() -> None:
    fault = half_labelled(labelled(offer("o1", 1, "accepted"), offer("o2", 1, None)))
    assert fault is not None
    assert fault[0] == "half_labelled"
    assert "offers[1]" in fault[1]
    assert half_labelled(labelled(offer("o1", None, None, None))) is None
