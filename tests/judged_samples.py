"""A model made by hand, which ranks offers of the customer's own taste first, and labels judged by it."""

import numpy as np

from stream_scorer.core.datasets.chunks import ExampleSource
from stream_scorer.core.evaluation.judging import ScoredRows, judge
from stream_scorer.core.features.spec import Category, FeatureSpec, Number
from stream_scorer.core.towers.model import Model, model_of_towers
from stream_scorer.core.towers.tower import Layer, Tower
from tests.example_samples import TASTES, snacks, tastes_meet


def taste_model(*, knows_tastes: bool = True) -> Model:
    """Return towers that embed a taste as its own axis, and read age and price without using them.

    A model that does not know tastes gives all customers the same vector, so that it ranks at random.
    """
    user = FeatureSpec("customer", (Category("likes", TASTES), Number("age", mean=30.0, scale=0.05)))
    item = FeatureSpec("offer", (Category("taste", TASTES), Number("price")))
    weight = np.eye(4, 5)
    user_tower = _tower(user, weight if knows_tastes else weight * 0)
    return model_of_towers(user_tower, _tower(item, weight), {})


def _tower(spec: FeatureSpec, weight: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Tower:
    return Tower(spec, np.eye(4, dtype=np.float32), "concat", (Layer(weight, np.zeros(4)),))


def judged_tastes(model: Model | None = None, labels: ExampleSource | None = None, rows: int = 1_000) -> ScoredRows:
    """Judge labels of customers who accept their own taste, after others have shown what is popular."""
    labels = tastes_meet(rows, seed=5) if labels is None else labels
    return judge(model or taste_model(), snacks(), labels, tastes_meet(600, seed=6), held_out=0.5)
