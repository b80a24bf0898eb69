"""References to judge our training by: simple counts, and well-kept libraries where the extra `quality` is installed.

A reference returns scores of the same shape as ours, (T, N) or (T,), or None where it does not suit the world.
"""

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_scorer.errors import UsageError
from stream_scorer.simulation.quality_worlds import QualityWorld, SimulatedRows

Scores = npt.NDArray[np.floating]
Reference = Callable[[QualityWorld], "Scores | None"]

# These options were chosen on the judged rows of the same worlds, which flatters the references. With few acceptances,
# few factors do best.
_ALS: dict[str, dict[str, float]] = {
    "iALS of 8 numbers": {"factors": 8, "alpha": 1.0, "regularization": 1.0},
    "iALS of 32 numbers": {"factors": 32, "alpha": 10.0, "regularization": 50.0},
}
_SWEEPS = 15
_CANDIDATES = 100


class MissingReference(UsageError):
    """The library of a reference is not installed."""


def _library(name: str, package: str) -> Any:
    try:
        return import_module(name)
    except ImportError as missing:
        raise MissingReference(f"{package} is not installed (extra quality)") from missing


def popularity(world: QualityWorld) -> Scores:
    """Score offers by how often they were accepted."""
    counts = np.bincount(world.log.offer, world.log.accepted, minlength=len(world.offers)).astype(np.float32)
    return np.tile(counts, (len(world.judged.customer), 1)) if world.ranks else np.asarray(counts[world.judged.offer])


def at_random(world: QualityWorld) -> Scores:
    """Draw the scores at random."""
    return np.random.default_rng(0).random(world.truth.shape, np.float32)


def own_frequency(world: QualityWorld) -> Scores | None:
    """Score offers by how often the customer accepted them; None where customers accept nothing twice."""
    if not world.repeats:
        return None
    # The popularity term stays below 1, so it only decides between equal counts.
    return _own_counts(world)[world.judged.customer] + popularity(world) / (len(world.log.offer) + 1)


def _own_counts(world: QualityWorld) -> Scores:
    counts = np.zeros((len(world.customers), len(world.offers)), np.float32)
    np.add.at(counts, (world.log.customer, world.log.offer), world.log.accepted)
    return counts


def als(world: QualityWorld, options: Mapping[str, float]) -> Scores | None:
    """Factorise who accepted what by implicit's alternating least squares (Hu, Koren and Volinsky 2008)."""
    if not world.ranks:
        return None
    factors = _library("implicit.als", "implicit").AlternatingLeastSquares(
        iterations=_SWEEPS, random_state=0, num_threads=1, **options
    )
    taken = _library("scipy.sparse", "scipy").csr_matrix(_own_counts(world))
    factors.fit(taken, show_progress=False)
    return np.asarray(factors.user_factors[world.judged.customer] @ factors.item_factors.T)


def logistic_regression(world: QualityWorld) -> Scores | None:
    """Fit scikit-learn's logistic regression on the features of both sides: numbers scaled, categories one-hot."""
    if world.ranks:
        return None
    linear, preparing = _library("sklearn.linear_model", "scikit-learn"), _library("sklearn.pipeline", "scikit-learn")
    vectoriser = _library("sklearn.feature_extraction", "scikit-learn").DictVectorizer(sparse=False)
    scaler = _library("sklearn.preprocessing", "scikit-learn").StandardScaler()
    model = preparing.make_pipeline(vectoriser, scaler, linear.LogisticRegression(C=0.1, max_iter=500))
    model.fit(_dicts(world, world.log), world.log.accepted)
    return np.asarray(model.predict_proba(_dicts(world, world.judged))[:, 1])


def _dicts(world: QualityWorld, rows: SimulatedRows) -> list[dict[str, Any]]:
    customers, offers = world.views(rows).features, rows.offer.tolist()
    return [
        {**customer, **{f"offer {name}": value for name, value in world.offers[offer].items()}}
        for customer, offer in zip(customers, offers, strict=True)
    ]


def light_gbm(world: QualityWorld) -> Scores | None:
    """Fit LightGBM on the features of both sides or, where acceptances repeat, on counts of a hundred candidates."""
    if world.ranks:
        return _over_candidates(world) if world.repeats else None
    lightgbm = _library("lightgbm", "lightgbm")
    vectoriser = _library("sklearn.feature_extraction", "scikit-learn").DictVectorizer(sparse=False)
    columns = vectoriser.fit_transform(_dicts(world, world.log))
    trees = lightgbm.LGBMClassifier(
        n_estimators=150, learning_rate=0.04, num_leaves=7, min_child_samples=30, n_jobs=1, verbosity=-1, random_state=0
    )
    trees.fit(columns, world.log.accepted)
    return np.asarray(trees.predict_proba(vectoriser.transform(_dicts(world, world.judged)))[:, 1])


def _over_candidates(world: QualityWorld) -> Scores:
    """Learn from the log's last fifth, with counts of what came before it; re-rank with counts of the whole log."""
    lightgbm = _library("lightgbm", "lightgbm")
    log, cut = world.log, round(0.8 * len(world.log.customer))
    earlier = SimulatedRows(log.customer[:cut], log.context[:cut], log.offer[:cut], log.accepted[:cut])
    later = SimulatedRows(log.customer[cut:], log.context[cut:], log.offer[cut:], log.accepted[cut:])
    candidates, columns = _candidates(world, earlier, later)
    trees = lightgbm.LGBMRanker(
        n_estimators=150, learning_rate=0.05, num_leaves=15, n_jobs=1, verbosity=-1, random_state=0
    )
    hit = (candidates == later.offer[:, None]).astype(int)
    trees.fit(columns.reshape(hit.size, -1), hit.reshape(-1), group=[_CANDIDATES] * len(hit))
    candidates, columns = _candidates(world, log, world.judged)
    scores = np.full((len(candidates), len(world.offers)), -1e9)
    made = trees.predict(columns.reshape(candidates.size, -1)).reshape(candidates.shape)
    np.put_along_axis(scores, candidates, made, axis=1)
    return scores


def _candidates(
    world: QualityWorld, known: SimulatedRows, asked: SimulatedRows
) -> tuple[npt.NDArray[np.int64], Scores]:
    """Return the offers that counts rank first (T, k), and these offers' counts (T, k, columns)."""
    shape = len(world.customers), len(world.offers)
    own, popular = np.zeros(shape, np.float32), np.bincount(known.offer, minlength=shape[1]).astype(np.float32)
    np.add.at(own, (known.customer, known.offer), 1)
    first = own[asked.customer] + popular / (popular.sum() + 1)
    candidates = np.argsort(-first, axis=1)[:, :_CANDIDATES]
    counted = [own[asked.customer[:, None], candidates], popular[candidates]]
    for number in range(known.context.shape[1]):
        values, offers = known.context[:, number], known.offer
        table = np.zeros((int(max(values.max(), asked.context[:, number].max())) + 1, shape[1]), np.float32)
        np.add.at(table, (values, offers), 1)
        counted.append(table[asked.context[:, number][:, None], candidates])
        together = np.zeros((len(table), *shape), np.float32)
        np.add.at(together, (values, known.customer, offers), 1)
        counted.append(together[asked.context[:, number][:, None], asked.customer[:, None], candidates])
    return candidates, np.stack(counted, axis=2)


REFERENCES: dict[str, Reference] = {
    "random": at_random,
    "popularity": popularity,
    "own frequency": own_frequency,
    **{name: partial(als, options=options) for name, options in _ALS.items()},
    "logistic regression": logistic_regression,
    "LightGBM": light_gbm,
}
