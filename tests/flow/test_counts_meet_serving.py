"""What a customer accepted before is counted alike by training, by `evaluate`, and of what a served request states."""

from collections import deque
from typing import Any

import numpy as np
import pytest

from stream_scorer.core.datasets.chunks import Views
from stream_scorer.core.evaluation.judging import judge
from stream_scorer.core.held_out.questions import ask
from stream_scorer.core.messages import Offer, Ranking
from stream_scorer.core.ranking.pipeline import rank_batch
from stream_scorer.core.towers.model import Model
from stream_scorer.core.two_stages.judged import plain_rows
from stream_scorer.core.two_stages.pairs import shortlist_pairs
from stream_scorer.core.wire.codec import decode_all
from stream_scorer.services.learning.trainer import source_of, train_model
from stream_scorer.training.options import TrainOptions
from stream_scorer.training.reranking.second_stage import RerankOptions, second_stage
from tests.example_samples import Chunks, chunk
from tests.ranking_worlds import TOPICS, record_of, request
from tests.release_samples import release

CUSTOMERS, OFFERS, LATEST = 20, 24, 10
CATALOG = [Offer(offer_id=f"o{row}", features={"kind": f"k{row % 5}"}) for row in range(OFFERS)]
OPTIONS = TrainOptions(dim=8, width=8, epochs=2, accepted_before=LATEST, held_out=0.2, refit=False)


def acceptances(rounds: int) -> list[tuple[int, int, int]]:
    """Return each round's acceptance of every customer, mostly of one of three offers of its own."""
    rng = np.random.default_rng(0)
    own = np.stack([rng.choice(OFFERS, 3, replace=False) for _ in range(CUSTOMERS)])
    return [
        (who, int(own[who, min(2, rng.geometric(0.6) - 1)] if rng.random() < 0.9 else rng.integers(OFFERS)), 1)
        for _ in range(rounds)
        for who in range(CUSTOMERS)
    ]


ROWS = acceptances(26)
EARLIER, LATER = ROWS[:-CUSTOMERS], ROWS[-CUSTOMERS:]  # the last round has one request of each customer


def examples(rows: list[tuple[int, int, int]], first_ms: int) -> Chunks:
    times = np.arange(len(rows), dtype=np.int64) + first_ms
    customers = Views([f"c{row}" for row in range(CUSTOMERS)], [{"segment": f"s{row % 3}"} for row in range(CUSTOMERS)])
    offers = Views([one.offer_id for one in CATALOG], [one.features for one in CATALOG])
    return Chunks((chunk(customers, offers, rows, request_time_ms=times, label_time_ms=times),))


LOG, LABELS = examples(EARLIER, 1_000), examples(LATER, 1_000 + len(EARLIER))


@pytest.fixture(scope="module")
def model() -> Model:
    source = source_of(LOG, CATALOG, OPTIONS, None)
    second = second_stage(source, CATALOG, RerankOptions("network", steps=30))
    return train_model(LOG, CATALOG, OPTIONS, second=second).model


def evaluated(model: Model) -> dict[tuple[str, str], float]:
    """Return the re-ranker's scores by customer and offer, as `evaluate` judges them."""
    assert model.reranker is not None
    judged = judge(model, CATALOG, LABELS, LOG, held_out=0.5)
    plain = plain_rows(judged, LABELS, LOG)
    assert plain is not None
    asked = ask(judged.data, judged.known.accepted, judged.rows, rankable=judged.rankable(), apart=True)
    pairs = shortlist_pairs(judged.data, plain, asked, (model.user_tower, model.item_tower))
    who = [judged.data.customer_ids[one] for one in asked.who[pairs.group].tolist()]
    offers = [CATALOG[place].offer_id for place in pairs.offer.tolist()]
    return dict(zip(zip(who, offers, strict=True), pairs.scores(model.reranker).tolist(), strict=True))


def served(model: Model) -> dict[tuple[str, str], float]:
    """Return them as a ranker gives them to requests that state what their customer accepted before."""
    taken = [deque[str](maxlen=LATEST) for _ in range(CUSTOMERS)]
    for who, offer, _ in EARLIER:
        taken[who].append(f"o{offer}")
    requests = [
        request(who, features={"segment": f"s{who % 3}", "accepted_before": list(bag)}, limit=OFFERS)
        for who, bag in enumerate(taken)
    ]
    batch = rank_batch([record_of(one) for one in requests], release(model, CATALOG), topics=TOPICS)
    values = [record_of(output.value) for output in batch.outputs if output.value is not None]
    rankings: list[Ranking] = decode_all(values, Ranking).messages
    return {(one.customer_id, offer.offer_id): offer.reranker_score or 0.0 for one in rankings for offer in one.offers}


def test_training_says_which_counts_it_reads(model: Model) -> None:
    facts: Any = model.facts["reranker"]
    assert "offer_id times in accepted_before" in facts["counts"]


def test_served_scores_are_those_evaluated(model: Model) -> None:
    expected, found = evaluated(model), served(model)
    assert found.keys() == expected.keys()
    assert len(found) == CUSTOMERS * OFFERS
    assert [found[pair] for pair in expected] == pytest.approx(list(expected.values()), abs=1e-9)
    assert np.std(list(found.values())) > 0.01
