"""Scores and offer vectors recomputed by the towers in the store of releases, as far as it has them."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from stream_scorer.core.messages import CustomerRequest, Ranking, ReleaseId
from stream_scorer.core.records import Record
from stream_scorer.core.verifying.checks import Check
from stream_scorer.core.verifying.judgements import Fault
from stream_scorer.core.verifying.scores import RankingSample, recompute_offers, recompute_rankings
from stream_scorer.core.verifying.stated_features import statement_faults
from stream_scorer.core.wire.codec import decode_all
from stream_scorer.errors import BadModel, ReleaseError, TransientError
from stream_scorer.ports import ReleaseStore

SCORES = "scores and orders are what the towers and the re-ranker of the release make (a sample)"
STATED = "rankings carry what their requests state of offers (a sample)"
VECTORS = "offer vectors of the current release are what its item tower makes (a sample)"
_UNAVAILABLE = (ReleaseError, TransientError, BadModel)


def check_scores(
    sample: RankingSample,
    store: ReleaseStore | None,
    offer_features: Sequence[str] | None,
    note: Callable[[Fault], None],
) -> Check:
    """Recompute the sample's scores by the towers of the releases that its rankings name.

    `offer_features` are the offers' features that rankings carry; None: all.
    """
    values = sample.values()
    rankings = _read(values)
    if not values:
        return Check(SCORES, 0)
    if store is None:
        return Check(SCORES, 0, {"no store of releases was given": len(rankings)})
    if offer_features is not None:
        return Check(SCORES, 0, {"rankings do not carry all features of offers (rank.offer_features)": len(rankings)})
    checked, left_out = 0, Counter({"not a valid ranking": len(values) - len(rankings)})
    for release_id, group in _by_release(rankings).items():
        try:
            done = recompute_rankings(group, store.model(ReleaseId(release_id)))
        except _UNAVAILABLE as error:
            left_out[str(error)] += len(group)
            continue
        checked += done.checked
        left_out["the towers cannot read the features"] += done.unreadable
        for fault in done.faults:
            note(fault)
    return Check.of(SCORES, checked, left_out)


def check_stated_features(
    sample: RankingSample,
    asked: RankingSample,
    offer_features: Sequence[str] | None,
    note: Callable[[Fault], None],
    *,
    stating: int,
) -> Check:
    """Hold the sample's rankings against those of their requests that state features of offers: so many in all."""
    requests = decode_all([Record("", 0, 0, None, value, 0) for value in asked.values()], CustomerRequest).messages
    checked, faults = statement_faults(_read(sample.values()), requests, offer_features)
    for fault in faults:
        note(fault)
    sampled = sum(any(one.features for one in request.stated_offers) for request in requests)
    return Check.of(STATED, checked, {"beyond the sample": stating - sampled})


def check_vectors(store: ReleaseStore | None, note: Callable[[Fault], None]) -> Check:
    """Recompute vectors of the current release, those of changed offers included."""
    if store is None:
        return Check(VECTORS, 0, {"no store of releases was given": 1})
    try:
        if (current := store.current()) is None:
            return Check(VECTORS, 0, {"there is no release": 1})
        catalog = store.load(current).catalog
        done = recompute_offers(catalog, store.model(current).item_tower)
    except _UNAVAILABLE as error:
        return Check(VECTORS, 0, {str(error): 1})
    for fault in done.faults:
        note(fault)
    reasons = {"beyond the sample": len(catalog) - done.checked - done.unreadable, "unreadable": done.unreadable}
    return Check.of(VECTORS, done.checked, reasons)


def _read(values: Iterable[bytes]) -> list[Ranking]:
    return decode_all([Record("", 0, 0, None, value, 0) for value in values], Ranking).messages


def _by_release(rankings: Iterable[Ranking]) -> Mapping[str, list[Ranking]]:
    groups: dict[str, list[Ranking]] = {}
    for ranking in rankings:
        groups.setdefault(ranking.release_id, []).append(ranking)
    return groups
