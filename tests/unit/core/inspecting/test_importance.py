"""Which features matter in a world in which only tastes decide."""

import numpy as np
import pytest

from stream_scorer.core.evaluation.figures import Importances
from stream_scorer.core.evaluation.judging import ScoredRows
from stream_scorer.core.evaluation.model_quality import rank_catalog
from stream_scorer.core.inspecting.importance import importances
from tests.example_samples import Chunks, chunk, tastes_meet
from tests.judged_samples import judged_tastes, taste_model


def found_of(judged: ScoredRows) -> Importances | None:
    return importances(judged, rank_catalog(judged, 4).questions, 4, np.random.default_rng(0))


def test_features_that_decide_come_first() -> None:
    found = found_of(judged_tastes())
    assert found is not None
    assert {one.feature for one in found.features[:2]} == {"likes", "taste"}
    assert all(one.drop.low > 0.1 for one in found.features[:2])
    assert [one.drop.value for one in found.features[2:]] == [0.0, 0.0]


def test_accepted_only_logs_are_judged_by_rankings() -> None:
    found = found_of(judged_tastes(labels=tastes_meet(2_000, seed=5, only_accepted=True)))
    assert found is not None
    assert found.figure == "nDCG@4"
    assert {one.feature for one in found.features[:2]} == {"likes", "taste"}


def test_nothing_matters_to_random_rankings() -> None:
    found = found_of(judged_tastes(taste_model(knows_tastes=False)))
    assert found is not None
    assert found.value == 0.5
    assert {one.drop.value for one in found.features} == {0.0}


def test_the_same_seed_gives_the_same_importances() -> None:
    judged = judged_tastes()
    assert found_of(judged) == found_of(judged)


@pytest.mark.parametrize("rows", [[(0, 0, 1), (0, 1, 0)], [(0, 0, 1)], [(0, 0, 0)]])
def test_one_customer_tells_no_importance(rows: list[tuple[int, int, int]]) -> None:
    part = tastes_meet(10, seed=5).parts[0]
    assert found_of(judged_tastes(labels=Chunks((chunk(part.customers, part.offers, rows),)))) is None


def test_rows_of_a_request_share_exchanged_values() -> None:
    """Each request shows offers of a single taste, so that no other customer's taste changes their order."""
    part = tastes_meet(10, seed=5).parts[0]
    rows = [(who, who % 3 + 3 * place, int(place == 0)) for who in range(60) for place in range(4)]
    requests = np.repeat(np.arange(60, dtype=np.uint64), 4)
    found = found_of(judged_tastes(labels=Chunks((chunk(part.customers, part.offers, rows, request=requests),))))
    assert found is not None
    drops = {one.feature: one.drop for one in found.features}
    assert (drops["likes"].low, drops["likes"].high) == (0.0, 0.0)
    assert drops["taste"].value != 0.0
