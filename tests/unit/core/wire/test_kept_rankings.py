"""Rankings as the join keeps them: refused as ever, and labelled to the byte as if they had been kept whole."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_scorer.core.joining.labelling import UNKNOWN, Label
from stream_scorer.core.wire import kept_rankings
from stream_scorer.core.wire.kept_rankings import Kept, RankingKeeper, ReadRanking, offer_ids_of, write_kept
from stream_scorer.core.wire.own_topics import NESTS_DEEPLY, read_ranking_head, write_labelled

OFFER_IDS = st.sampled_from(["o1", "o2", "o3", "\u00e4\u4e2d", "with \0 in it"])
NUMBERS = st.floats(-1, 1) | st.integers(-1, 1)
FEATURES = st.sampled_from([{}, {"a": 1}, {"a": "x", "b": [1.5, 2]}, {"n": {"m": [[[]]]}}, {"\u00e9": "\u4e2d"}])
WHOLE = st.fixed_dictionaries({"tower_rank": st.integers(1, 1_000), "reranker_score": st.floats(-9, 9)})
ADDED = st.fixed_dictionaries(
    {}, optional={"tower_rank": st.sampled_from([1, 1_000, None, 0, 1.5]), "reranker_score": NUMBERS | st.none()}
)
BAD: st.SearchStrategy[Any] = st.sampled_from([[], "x", None, {"deep": msgspec.Raw(b"[" * 62 + b"]" * 62)}])
LABELS = (Label(1, "accepted", 5), Label(0, "window_closed", 9), UNKNOWN, UNKNOWN, UNKNOWN)


def an_offer(offer_id: str, rank: int, score: float, propensity: float, features: object) -> dict[str, Any]:
    return {
        "offer_id": offer_id, "rank": rank, "score": score, "propensity": propensity, "features": features,
    }  # fmt: skip


def a_ranking(offers: list[dict[str, Any]], features: object, **changes: object) -> dict[str, Any]:
    return {
        "request_id": "r", "customer_id": "c", "event_time_ms": 7, "release_id": "m", "status": "ranked",
        "eligible_count": 3, "excluded": {}, "features": features, "offers": offers, **changes,
    }  # fmt: skip


@st.composite
def values(draw: st.DrawFn) -> bytes:
    ids = draw(st.lists(OFFER_IDS, max_size=5))
    certain = draw(st.booleans())
    stages = draw(st.sampled_from(["one", "one", "two", "mixed"]))
    offers = [
        an_offer(
            offer_id,
            draw(st.sampled_from([place, place, place, 3])),
            draw(NUMBERS),
            1.0 if certain else draw(st.sampled_from([1.0, 0.25, 1, 0.0])),
            draw(FEATURES if draw(st.integers(0, 9)) else BAD),
        )
        | ({} if stages == "one" else draw(WHOLE if stages == "two" else ADDED))
        for place, offer_id in enumerate(ids, 1)
    ]
    changes: dict[str, Any] = draw(
        st.sampled_from([{}, {}, {}, {"extra": 1}, {"release_id": "other"}, {"status": [[[[1]]]]}])
    )
    value = msgspec.json.encode(a_ranking(offers, draw(FEATURES), **changes))
    shape = draw(st.sampled_from(["as written", "as written", "spaced", "cut", "nested"]))
    if shape == "nested":
        return value[:-1] + b',"deep":' + b"[" * 300 + b"]" * 300 + b"}"
    return {"as written": value, "spaced": msgspec.json.format(value), "cut": value[:-1]}[shape]


def kept(keeper: RankingKeeper, value: bytes) -> tuple[ReadRanking, Kept]:
    read = keeper.read(value)
    assert isinstance(read, ReadRanking)
    return read, keeper.keep(value, read)


def assert_labelled_as_ever(history: list[bytes]) -> None:
    keeper = RankingKeeper()
    for value in history:
        head, read = read_ranking_head(value), keeper.read(value)
        if isinstance(head, str) or isinstance(read, str):
            assert read == head
            continue
        small = keeper.keep(value, read)
        ids, labels = [offer.offer_id for offer in head.offers], LABELS[: len(head.offers)]
        assert offer_ids_of(small, len(ids)) == ids
        who = (read.parts.request_id, read.parts.customer_id, read.parts.event_time_ms)
        as_ever = write_labelled(value, labels, revision=2, final=True)
        assert write_kept(small, who, labels, revision=2, final=True) == as_ever


@given(st.lists(values(), min_size=1, max_size=12))
def test_kept_rankings_are_read_and_labelled_alike(history: list[bytes]) -> None:
    assert_labelled_as_ever(history * 2)


def three(features: str = '{"a":1}', of_offers: str = '{"t":1}', **changes: object) -> bytes:
    """Return a ranking of three offers; features are given as text, so that they need be no JSON."""
    offers = [an_offer(f"o{place}", place, 0.5, 1.0, msgspec.Raw(of_offers.encode())) for place in (1, 2, 3)]
    return msgspec.json.encode(a_ranking(offers, msgspec.Raw(features.encode("latin-1")), **changes))


def reordered(value: bytes) -> bytes:
    fields = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
    return msgspec.json.encode(dict(reversed(fields.items())))


@pytest.mark.parametrize(
    "other",
    [
        three(of_offers='{"t":2}'),
        three(of_offers="[]"),
        three(features='{"b":[1],"c":"x"}'),
        three(features='{"\xff":1}'),  # no UTF-8
        three(features='{"\\ud800":1}'),
        three(features='{"a":"\xff"}'),
        three(extra=1),
        three().replace(b'"eligible_count":3,"excluded":{},', b""),
        three().replace(b'"propensity":1.0', b'"propensity":1'),
        three().replace(b'"o2"', b'"o1"'),
        three().replace(b'"rank":3', b'"rank":4'),
        three().replace(b'"score":0.5', b'"score":5e-1'),
        reordered(three()),
    ],
)
def test_other_rankings_between_change_no_label(other: bytes) -> None:
    assert_labelled_as_ever([three(), three(), other, other, three(), other.replace(b'"m"', b'"n"'), other])


def test_known_offers_still_nest_too_deeply_together() -> None:
    deep = [an_offer(f"o{place}", place, 0.5, 1.0, {"a": msgspec.Raw(b"[" * 70 + b"]" * 70)}) for place in range(1, 6)]
    alone = [msgspec.json.encode(a_ranking([offer], {})) for offer in deep]
    assert read_ranking_head(alone[0]) != NESTS_DEEPLY  # so few brackets are not looked through
    assert_labelled_as_ever([*alone, msgspec.json.encode(a_ranking(deep, {}))])


def many(count: int, **changes: object) -> list[bytes]:
    offers = [an_offer(f"o{number}", number + 1, 1 / (number + 3), 1.0, {"text": "x" * 90}) for number in range(10)]
    rankings = [a_ranking(offers, {"age": number / 7, "home": "here"}, **changes) for number in range(count)]
    return [msgspec.json.encode(each) for each in rankings]


def test_what_rankings_share_is_kept_once() -> None:
    keeper, (first, second) = RankingKeeper(), many(2)
    assert kept(keeper, first)[1].alike is None
    small = kept(keeper, second)[1]
    assert small.alike is not None
    assert len(small.packed) < 200 < len(second) / 5


def priced(number: int, count: int = 10) -> bytes:
    """Return a ranking whose offers have prices of its own."""
    prices = [number + each / 7 for each in range(count)]
    offers = [an_offer(f"o{place}", place, 0.5, 1.0, {"price": price}) for place, price in enumerate(prices, 1)]
    return msgspec.json.encode(a_ranking(offers, {"age": 3.5, "home": "here"}))


def test_features_of_one_request_stay_with_it() -> None:
    assert_labelled_as_ever([each for number in range(6) for each in (priced(0, 5), priced(0, 5), priced(number, 5))])
    keeper = RankingKeeper()
    for number in range(50):
        whole = kept(keeper, priced(number))[1]
        assert whole.alike is None
        assert len(whole.packed) < len(priced(number))
    assert (len(keeper._offers), keeper._alike) == (10, {})


def reranked(value: bytes, **changes: object) -> bytes:
    """Return a ranking with what a re-ranker adds to each offer, and with changes of all offers."""
    ranking = msgspec.json.decode(value)
    added = [{"tower_rank": 1_000 - place, "reranker_score": place / 7} for place in range(10)]
    offers = [{**offer, **more, **changes} for offer, more in zip(ranking["offers"], added, strict=True)]
    return msgspec.json.encode({**ranking, "offers": offers})


@pytest.mark.parametrize(("propensity", "more_bytes"), [(1.0, 0), (0.5, 8)])
def test_what_rerankers_add_is_kept_small(propensity: float, more_bytes: int) -> None:
    plain = many(1)[0]
    value = reranked(plain, propensity=propensity)
    keeper = RankingKeeper()
    kept(keeper, plain)
    small = kept(keeper, value)[1]
    assert len(small.packed) == len(kept(keeper, plain)[1].packed) + 10 * (8 + 2 + more_bytes)
    again = write_kept(small, ("r", "c", 7), LABELS * 2, revision=1, final=False)
    assert again == write_labelled(value, LABELS * 2, revision=1, final=False)


def test_half_of_an_addition_is_kept_whole() -> None:
    plain = many(1)[0]
    value = reranked(plain, tower_rank=None)
    keeper = RankingKeeper()
    kept(keeper, plain)
    whole = kept(keeper, value)[1]
    assert whole.alike is None
    again = write_kept(whole, ("r", "c", 7), LABELS * 2, revision=1, final=False)
    assert again == write_labelled(value, LABELS * 2, revision=1, final=False)


@pytest.mark.parametrize("release_ids", [1, 20])
def test_rankings_share_for_a_bounded_time(release_ids: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_rankings, "ALIKE_MAX", 3)
    keeper, given = RankingKeeper(), many(40)
    for number, value in enumerate(given):
        of_release = value.replace(b'"m"', b'"m%d"' % (number % release_ids))
        _, small = kept(keeper, of_release)
        assert small.alike is None or small.alike.count <= 3
        assert write_kept(small, ("r", "c", 7), LABELS * 2, revision=1, final=False) == write_labelled(
            of_release, LABELS * 2, revision=1, final=False
        )


def test_what_is_known_of_offers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_rankings, "OFFERS_BYTES_MAX", 1_000)
    keeper = RankingKeeper()
    for number in range(50):
        kept(keeper, many(1)[0].replace(b'"offer_id":"o', b'"offer_id":"o%d-' % number))
    assert 0 < keeper._offers_bytes <= 1_000
    assert len(keeper._offers) == 2


def test_offers_shown_lately_stay_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_rankings, "OFFERS_BYTES_MAX", 9_000)  # twenty offers, not thirty
    keeper, shown = RankingKeeper(), many(1)[0]
    kept(keeper, shown)
    for number in range(50):
        kept(keeper, shown.replace(b'"offer_id":"o', b'"offer_id":"o%d-' % number))
        assert kept(keeper, shown)[0].known is not None


def test_customers_values_are_kept_for_nobody_else() -> None:
    keeper, given = RankingKeeper(), many(3)
    alike = [kept(keeper, value)[1].alike for value in given][-1]
    assert alike is not None
    assert (b"here" in alike.names, alike.names) == (False, b'"age":,"home":"')
