"""The gate, which keeps bad vectors from serving: the faults that publish refuses, and the check of what it wrote."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from stream_scorer.core.features.coverage import FeatureCoverage, reason_blind
from stream_scorer.core.features.spec import RowError
from stream_scorer.core.releases.catalog import Catalog, Vectors
from stream_scorer.core.releases.release import GateFigures, figures_of
from stream_scorer.core.towers.model import Model
from stream_scorer.core.towers.tower import Tower
from stream_scorer.errors import BadModel, ReleaseError

SAMPLE_OFFERS = 256
VECTOR_TOLERANCE = 1e-6  # a float32's rounding; the towers compute in float64
NORM_TOLERANCE = 1e-3
PARITY_MAX = 1e-5
GOLDEN_MAX = 1e-9
JUDGED_CUSTOMERS_MIN = 200  # with fewer, the standard error of the difference is above 0.02, and luck would decide
ERROR_CUSTOMERS_MIN = 50  # of fewer, the standard error itself is a matter of luck
MISSING_SHARE_MAX = 0.5
SURE_ERRORS = 2.0  # with fewer customers, only a difference of so many standard errors counts
# Mean cosine of an offer with the offers' mean direction. Where training learned from few acceptances, offers differ
# little beside what they share, and 0.9999 can be right.
COLLAPSED_COSINE = 0.99999
AGREEMENT_ALIKE = 0.9999  # correlation of scores; of a hundred pairs of offers, about one stands in another order
_NAMED_MAX = 3


def check_model(model: Model) -> None:
    """Raise BadModel for towers whose vectors differ in length: no fault that publish could be forced to overlook."""
    if model.user_tower.dim != model.item_tower.dim:
        raise BadModel(f"the user tower gives {model.user_tower.dim} numbers, the item tower {model.item_tower.dim}")


def faults_of(
    model: Model, catalog: Catalog, errors: Sequence[RowError], coverage: FeatureCoverage | None = None
) -> list[str]:
    """Return what speaks against serving this release, and by how much; an empty list where nothing does.

    Vectors that are not finite do not get here, since no catalog takes them. `coverage` says which features of the item
    tower the offers have; None: not known. Raises BadModel for facts of the model that cannot be read.
    """
    return [
        *_offer_faults(catalog, errors),
        *_blind_faults(coverage),
        *_vector_faults(catalog),
        *_faults_of_facts(model),
    ]


def _faults_of_facts(model: Model) -> list[str]:
    """Judge by the facts that training wrote beside the towers.

    Raises BadModel for facts of another form than expected: nothing else checks their form.
    """
    try:
        return [
            *_parity_faults(model.facts),
            *_golden_faults(model),
            *_quality_faults(model.facts),
            *_reranker_faults(model),
        ]
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
        raise BadModel(f"the model's facts cannot be read: {error!r}") from error


def missing_offers(serving: Sequence[str], next_ids: Sequence[str]) -> list[str]:
    """Return a fault if more than half of the offers that serve now are missing: the catalog may have been cut off."""
    kept = set(next_ids)
    missing = [offer_id for offer_id in serving if offer_id not in kept]
    if len(missing) <= MISSING_SHARE_MAX * len(serving):
        return []
    return [
        f"{len(missing)} of {len(serving)} offers that are served now are missing, more than half: {_listed(missing)}"
    ]


def verify(catalog: Catalog, item_tower: Tower) -> None:
    """Check that stored vectors have length 1 or are zero, and that a sample is what the item tower gives.

    The item tower embeds the stored features. Raises ReleaseError where a vector fails either check.
    """
    lengths = np.linalg.norm(catalog.vectors, axis=1)
    wrong = np.flatnonzero((np.abs(lengths - 1) > NORM_TOLERANCE) & (lengths > 0))
    if wrong.size:
        raise ReleaseError(
            f"{wrong.size} of {len(catalog)} stored vectors are not of length 1: {_named(catalog, wrong)}"
        )
    # evenly spaced rather than random: the same release always passes or always fails
    rows = np.unique(np.linspace(0, len(catalog) - 1, min(len(catalog), SAMPLE_OFFERS)).astype(int))
    features = [msgspec.json.decode(catalog.fragments[row], type=dict[str, Any]) for row in rows]
    made = item_tower.embed(features, [catalog.offer_ids[row] for row in rows]).vectors
    apart = (
        np.abs(made - catalog.vectors[rows]).max(axis=1, initial=0.0)
        if made.shape[1] == catalog.dim
        else np.full(len(rows), np.inf)
    )
    different = apart > VECTOR_TOLERANCE
    if different.any():
        named = _named(catalog, rows[different])
        raise ReleaseError(
            f"{different.sum()} of {len(rows)} stored vectors are not what the item tower makes, by up to "
            f"{apart.max():.2g}: {named}"
        )


def _offer_faults(catalog: Catalog, errors: Sequence[RowError]) -> list[str]:
    faults = []
    if not len(catalog):
        faults.append("there are no offers")
    if errors:
        first = f"{catalog.offer_ids[errors[0].index]}: {errors[0].message}"
        faults.append(
            f"{len(errors)} of {len(catalog)} offers have features that the item tower cannot read; the "
            f"first is {first}"
        )
    return faults


def _blind_faults(coverage: FeatureCoverage | None) -> list[str]:
    reason = None if coverage is None else reason_blind(coverage)
    return [] if reason is None else [reason]


def _vector_faults(catalog: Catalog) -> list[str]:
    vectors: Vectors = catalog.vectors
    zero = np.flatnonzero(~vectors.any(axis=1))
    if zero.size:
        return [f"{zero.size} of {len(catalog)} offer vectors are zero: {_named(catalog, zero)}"]
    # the length of the mean of unit vectors is their mean cosine with the direction of that mean
    cosine = float(np.linalg.norm(vectors.mean(axis=0, dtype=np.float64))) if len(catalog) else 0.0
    # offers with equal features rightly have equal vectors
    if cosine > COLLAPSED_COSINE and len(set(catalog.fragments)) > 1:
        return [
            (
                f"the offer vectors have collapsed: their mean cosine with their mean is {cosine:.6f}, at most "
                f"{COLLAPSED_COSINE}"
            )
        ]
    return []


def _parity_faults(facts: Mapping[str, Any]) -> list[str]:
    difference = facts.get("parity_max_difference", 0.0)
    if difference <= PARITY_MAX:
        return []
    return [f"the towers differ by up to {difference:.2g} from those that were trained, at most {PARITY_MAX}"]


def _golden_faults(model: Model) -> list[str]:
    """Compare the towers with the outputs on golden rows that the engine which trained them left, if it left any."""
    golden: Mapping[str, Any] = model.facts.get("golden") or {}  # type: ignore[assignment]
    faults = []
    for name, tower in (("user_tower", model.user_tower), ("item_tower", model.item_tower)):
        if rows := golden.get(name):
            made = tower.outputs(tower.spec.encode(rows["features"], rows["ids"]))
            difference = float(np.abs(made - np.array(rows["outputs"])).max())
            if not difference <= GOLDEN_MAX:  # not `>`, which is false for NaN
                faults.append(
                    f"the {name} differs by up to {difference:.2g} on golden rows from the engine's own, "
                    f"at most {GOLDEN_MAX}"
                )
    return faults


def _quality_faults(facts: Mapping[str, Any]) -> list[str]:
    """Compare the model with popularity on held-out rows.

    With few customers, it is a fault only where the difference is too large for bad luck.
    """
    ours, popular = facts.get("held_out_auc") or {}, facts.get("popularity_auc") or {}
    mine, its = ours.get("within_customer"), popular.get("within_customer")
    if mine is None or its is None:
        return []
    customers = ours.get("customers", 0)
    luck = 0.0 if customers >= JUDGED_CUSTOMERS_MIN else SURE_ERRORS * _error_of(ours, popular)
    if mine + luck > its:
        return []
    return [f"held-out AUC within customer is {mine:.4f}, not above popularity's {its:.4f} ({customers} customers)"]


def _reranker_faults(model: Model) -> list[str]:
    stated: Mapping[str, Any] = model.facts.get("reranker") or {}  # type: ignore[assignment]
    judged: Mapping[str, Any] | None = stated.get("judged")
    return [] if model.reranker is None or not judged else reranker_faults(judged)


def reranker_faults(judged: Mapping[str, Any]) -> list[str]:
    """Return by which figures a re-ranker surely ranks worse than the towers alone on the same requests (95 %).

    The one rule for training, which leaves such a re-ranker out, and for the gate. A loss within noise is none: of few
    requests, luck alone would leave out half of the re-rankers that are as good as the towers.
    """
    return [
        f"the re-ranker ranks worse than the towers alone: {name} {one['both']['value']:.4f} against "
        f"{one['towers']['value']:.4f} on {judged['requests']:,} requests"
        for name, one in (("nDCG@10", judged["ndcg"]), ("AUC within request", judged["auc"]))
        if one["above"]["high"] < 0
    ]


def cautions_of_facts(facts: Mapping[str, Any]) -> list[str]:
    """Return what to know before this model serves, though it is no fault."""
    return [*alike_cautions(facts), *_comparison_cautions(facts)]


def alike_cautions(facts: Mapping[str, Any]) -> list[str]:
    """Return a caution where the model ranks alike for all customers, as its facts state; else an empty list.

    With few acceptances this may be the best model there is.
    """
    agreement = facts.get("order_agreement")
    if not isinstance(agreement, float) or agreement < AGREEMENT_ALIKE:
        return []
    caution = (
        "the model ranks alike for all customers: it has learned which offers are liked, but not who likes them; more "
        "accepted rows, customer features that vary, or a smaller --prior may change that"
    )
    return [caution]


def _comparison_cautions(facts: Mapping[str, Any]) -> list[str]:
    figures = figures_of(facts)
    customers = figures.customers or 0
    if customers >= JUDGED_CUSTOMERS_MIN or _surely_better(figures):
        return []
    if not customers and _acceptances_alone(facts):
        caution = (
            "not compared with popularity: the held-out labels are acceptances alone, of which more would not help; "
            "the gate compares by labels of offers that were shown and not accepted (--labels), while `train` and "
            "`evaluate` compare rankings of the catalog (nDCG)"
        )
        return [caution]
    caution = (
        f"hardly compared with popularity: {customers} customers have accepted and other held-out rows, "
        f"{JUDGED_CUSTOMERS_MIN} are needed (--labels)"
    )
    return [caution]


def _acceptances_alone(facts: Mapping[str, Any]) -> bool:
    ours = facts.get("held_out_auc")
    return isinstance(ours, Mapping) and ours.get("not_accepted") == 0


def _surely_better(figures: GateFigures) -> bool:
    mine, its, error = figures.auc, figures.popularity_auc, figures.difference_error
    if mine is None or its is None or error is None or (figures.customers or 0) < ERROR_CUSTOMERS_MIN:
        return False
    return mine - its > SURE_ERRORS * error


def _error_of(ours: Mapping[str, Any], popular: Mapping[str, Any]) -> float:
    """Return the standard error of the difference, infinite where it is not known.

    Facts of an older training lack it; it is then computed as for independent samples, which overstates it.
    """
    if (paired := popular.get("difference_error")) is not None:
        return float(paired)
    errors = (one.get("standard_error") for one in (ours, popular))
    return math.hypot(*(math.inf if error is None else float(error) for error in errors))


def _named(catalog: Catalog, rows: Sequence[int] | np.ndarray[Any, np.dtype[np.int64]]) -> str:
    return _listed([catalog.offer_ids[row] for row in rows[: _NAMED_MAX + 1]])


def _listed(offer_ids: Sequence[str]) -> str:
    names = ", ".join(offer_ids[:_NAMED_MAX])
    return names if len(offer_ids) <= _NAMED_MAX else f"{names}, …"
