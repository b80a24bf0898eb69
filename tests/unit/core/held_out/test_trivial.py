"""Rankings that cost nothing, on logs in which one of them is plainly right."""

import numpy as np

from stream_scorer.core.datasets.chunks import Views
from stream_scorer.core.datasets.training_set import TrainingSet, build_training_set
from stream_scorer.core.features.spec import Category, FeatureSpec
from stream_scorer.core.held_out.questions import Questions, accepted_pairs, ask, quality, rank
from stream_scorer.core.held_out.trivial import OWN, POPULARITY, RANDOM, Contexts, KnownAcceptances, TrivialRankings
from stream_scorer.core.messages import Offer
from tests.example_samples import Chunks, chunk

OFFERS = [Offer(offer_id=f"o{number}", features={}) for number in range(8)]
SPEC = FeatureSpec(
    "customer", (Category("id", ("c0",), from_id=True), Category("sky", ("h0", "h1")), Category("hour", ("h0", "h1")))
)


def log(habits: bool) -> TrainingSet:
    """60 rows of 4 customers: everyone takes an offer of the hour, or one of their own."""
    rows = [(row % 4, row // 4 % 2) for row in range(60)]
    views = Views([f"c{one}" for one, _ in rows], [{"hour": f"h{hour}", "sky": "h0"} for _, hour in rows])
    offers = Views([offer.offer_id for offer in OFFERS], [{}] * 8)
    taken = [(row, 2 + one if habits else 6 + hour, 1) for row, (one, hour) in enumerate(rows)]
    return build_training_set(Chunks((chunk(views, offers, taken),)), OFFERS, SPEC, FeatureSpec("offer", ()))


def trivial(data: TrainingSet, rows: int = 40) -> tuple[TrivialRankings, Questions]:
    contexts, known = Contexts.of(data.customers, SPEC), np.arange(rows)
    questions = ask(data, accepted_pairs(data, known), np.arange(rows, 60))
    return TrivialRankings(8, contexts, KnownAcceptances.of(data, known, contexts)), questions


def ndcg(data: TrainingSet) -> dict[str, float]:
    made, questions = trivial(data)
    found = made.rankings(questions)
    return {name: float(quality(questions, rank(questions, of, 1)).ndcg.mean()) for name, of in found.items()}


def test_the_context_that_ranks_best_is_named() -> None:
    found = ndcg(log(habits=False))
    assert found["popularity by hour"] == 1.0 > found[POPULARITY]
    assert set(found) == {POPULARITY, RANDOM, OWN, "popularity by hour"}


def test_habits_are_ranked_by_own_frequency() -> None:
    found = ndcg(log(habits=True))
    assert found[OWN] == 1.0 > found[POPULARITY]


def test_equal_counts_follow_popularity() -> None:
    made, questions = trivial(log(habits=True))
    (first,) = made.rankings(questions)[OWN](slice(0, 1))
    own = 2 + int(questions.who[0])
    others = [offer for offer in range(8) if offer != own]
    assert first[own] >= 10
    assert (
        np.argsort(-first[others], kind="stable").tolist()
        == np.argsort(-made.popularity[others], kind="stable").tolist()
    )
    assert first[others].max() < 1


def test_without_repeats_own_frequency_says_nothing() -> None:
    made, questions = trivial(log(habits=True), rows=0)
    assert OWN not in made.rankings(questions)


def test_scores_of_rows_follow_the_same_counts() -> None:
    data = log(habits=True)
    made, _ = trivial(data)
    found = made.of_rows(data, np.arange(40, 44), lambda scores: 0.0)
    assert found[POPULARITY].tolist() == [10.0] * 4
    assert np.floor(found[OWN]).tolist() == [10.0] * 4
    assert np.floor(found["popularity by sky"]).tolist() == [10.0] * 4


def test_ids_are_no_context() -> None:
    assert Contexts.of(log(habits=True).customers, SPEC).names == ("sky", "hour")


def test_random_orders_depend_on_the_seed_alone() -> None:
    made, questions = trivial(log(habits=True))
    one, same, other = (made.rankings(questions, seed=seed)[RANDOM](slice(0, 3)) for seed in (1, 1, 2))
    assert (one == same).all()
    assert not (one == other).all()
