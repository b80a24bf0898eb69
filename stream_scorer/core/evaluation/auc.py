"""AUC within customers (GAUC): how well scores order each customer's accepted offers above the others."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WithinAuc:
    """The mean over customers of each customer's AUC (GAUC), and how many `customers` have both labels.

    `auc` is None without such customers, `standard_error` with fewer than two.
    """

    auc: float | None
    customers: int
    standard_error: float | None


def auc_by_customer(
    who: npt.NDArray[np.integer],
    scores: npt.NDArray[np.floating] | npt.NDArray[np.integer],
    accepted: npt.NDArray[np.integer],
) -> Floats:
    """Return the AUC of each customer that has both labels; ties count a half.

    It is the probability that an accepted row of a customer scores above a row of theirs that is not (Mann-Whitney).
    """
    order = np.lexsort((scores, who))
    customer, score, label = who[order], scores[order], accepted[order].astype(np.float64)
    if not len(order):
        return np.zeros(0)
    group = np.cumsum(np.append(True, customer[1:] != customer[:-1])) - 1  # (n,)
    tie = np.cumsum(np.append(True, (customer[1:] != customer[:-1]) | (score[1:] != score[:-1]))) - 1
    place = np.arange(len(order), dtype=np.float64)
    # Tied rows share their mean place, which counts each tied pair a half.
    mean_place = (np.bincount(tie, place) / np.bincount(tie))[tie]
    sizes, positives = np.bincount(group), np.bincount(group, label)
    firsts = np.cumsum(sizes) - sizes
    above = np.bincount(group, label * (mean_place - firsts[group])) - positives * (positives - 1) / 2
    both = (positives > 0) & (positives < sizes)
    return np.asarray(above[both] / (positives * (sizes - positives))[both])


def auc_within(
    who: npt.NDArray[np.integer],
    scores: npt.NDArray[np.floating] | npt.NDArray[np.integer],
    accepted: npt.NDArray[np.integer],
) -> WithinAuc:
    """Return the mean AUC within customers (GAUC), every customer weighing the same."""
    return _mean(auc_by_customer(who, scores, accepted))


def auc_beside_popularity(
    who: npt.NDArray[np.integer],
    scores: npt.NDArray[np.floating],
    popularity: npt.NDArray[np.floating] | npt.NDArray[np.integer],
    accepted: npt.NDArray[np.integer],
) -> dict[str, dict[str, float | int | None]]:
    """Return the facts by which the gate compares a model's scores of rows (n,) with the popularity of their offers.

    The error of the difference is paired by customer: both rank the same rows, so most of what makes a customer easy or
    hard to rank cancels.
    """
    ours, popular = (auc_by_customer(who, each, accepted) for each in (scores, popularity))
    difference = _mean(ours - popular)
    return {
        "held_out_auc": {**_facts(_mean(ours)), "not_accepted": int((accepted == 0).sum())},
        "popularity_auc": {**_facts(_mean(popular)), "difference_error": difference.standard_error},
    }


def _facts(found: WithinAuc) -> dict[str, float | int | None]:
    return {"within_customer": found.auc, "customers": found.customers, "standard_error": found.standard_error}


def _mean(each: Floats) -> WithinAuc:
    if not len(each):
        return WithinAuc(None, 0, None)
    error = float(each.std(ddof=1) / np.sqrt(len(each))) if len(each) > 1 else None
    return WithinAuc(float(each.mean()), len(each), error)
