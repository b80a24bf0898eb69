import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream_scorer.core.messages import Ranking
from stream_scorer.core.ranking.best_offers import rank
from stream_scorer.core.ranking.encoding import ALL_FEATURES, OfferFeatures, encode_rankings
from stream_scorer.core.wire.codec import decode_all
from tests.ranking_worlds import catalog_of, offer, record_of, request, unit_vectors

_text = st.text(max_size=6)
_features = st.dictionaries(
    st.text(min_size=1, max_size=4),
    st.floats(allow_nan=False, allow_infinity=False) | _text | st.booleans() | st.none() | st.lists(_text, max_size=3),
)


def test_a_ranking_is_these_bytes() -> None:
    catalog = catalog_of(np.array([[0.5, 0.0], [0.25, 0.0]]), [offer("o1", features={"price": 2.0}), offer("o2")])
    requests = [request(1, features={"age": 3.0}, exclude=["o2"])]
    (value,) = encode_rankings(requests, rank(requests, np.array([[1.0, 0.0]]), catalog), catalog, ALL_FEATURES)
    assert value == (
        b'{"request_id":"r1","customer_id":"c1","event_time_ms":1700000000000,"release_id":"release-1","status":"ranked",'
        b'"eligible_count":1,"excluded":{"excluded":1},"features":{"age":3.0},'
        b'"offers":[{"offer_id":"o1","rank":1,"score":0.5,"propensity":1.0,"features":{"price":2.0}}]}'
    )


@given(
    st.lists(_features, min_size=1, max_size=5),
    st.lists(_features, min_size=1, max_size=4),
    st.sampled_from(['"', "é,", 'x","', "{}", "\\"]),
)
def test_a_written_ranking_reads_back(
    of_offers: list[dict[str, object]], of_customers: list[dict[str, object]], prefix: str
) -> None:
    catalog = catalog_of(
        unit_vectors(len(of_offers), 3), [offer(f"{prefix}{row}", features=each) for row, each in enumerate(of_offers)]
    )
    requests = [request(number, features=each, limit=number + 1) for number, each in enumerate(of_customers)]
    ranked = rank(requests, unit_vectors(len(requests), 3, seed=1), catalog)
    decoded = decode_all(
        [record_of(value) for value in encode_rankings(requests, ranked, catalog, ALL_FEATURES)], Ranking
    )
    assert [letter.code for letter in decoded.dead_letters if letter.code != "nul_in_string"] == []
    for number, ranking in ((int(one.request_id[1:]), one) for one in decoded.messages):
        rows = ranked.rows[ranked.starts[number] : ranked.starts[number + 1]].tolist()
        assert ranking.features == of_customers[number]
        assert [placed.offer_id for placed in ranking.offers] == [catalog.offer_ids[row] for row in rows]
        assert [placed.features for placed in ranking.offers] == [json.loads(catalog.fragments[row]) for row in rows]
        assert [placed.rank for placed in ranking.offers] == list(range(1, len(rows) + 1))
        assert [placed.score for placed in ranking.offers] == ranked.scores[
            ranked.starts[number] : ranked.starts[number + 1]
        ].tolist()


def test_nothing_eligible_says_so() -> None:
    catalog, requests = catalog_of(unit_vectors(2, 2)), [request(offers=[])]
    (value,) = encode_rankings(requests, rank(requests, unit_vectors(1, 2), catalog), catalog, ALL_FEATURES)
    ranking = decode_all([record_of(value)], Ranking).messages[0]
    assert (ranking.status, ranking.eligible_count, ranking.offers) == ("nothing_eligible", 0, [])


def test_only_named_offer_features_are_copied() -> None:
    catalog, requests = (
        catalog_of(unit_vectors(1, 2), [offer("a", features={"price": 1.0, "text": "long", "brand": "b"})]),
        [request()],
    )
    (value,) = encode_rankings(
        requests, rank(requests, unit_vectors(1, 2), catalog), catalog, OfferFeatures(("brand", "price", "no such"))
    )
    assert b'"features":{"price":1.0,"brand":"b"}}]}' in value
