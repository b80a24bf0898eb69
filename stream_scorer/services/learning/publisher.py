"""Makes a release from a model and offers, and switches to it: embed, judge, write, verify, move the pointer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from stream_scorer.core.features.coverage import FeatureCoverage, coverage_of
from stream_scorer.core.features.spec import RowError
from stream_scorer.core.messages import Offer, ReleaseId
from stream_scorer.core.releases.catalog import Catalog
from stream_scorer.core.releases.gate import check_model, faults_of, missing_offers
from stream_scorer.core.releases.offer_index import OfferIndex
from stream_scorer.core.releases.offer_side import check_offer_side
from stream_scorer.core.releases.release import Release, reading_features, release_id_of
from stream_scorer.core.towers.model import Model
from stream_scorer.errors import BadModel, GateRefusal, ReleaseError
from stream_scorer.ports import ReleaseStore

BATCH_OFFERS = 4_096
_NO_CHANGES = "0"  # the mark of a release whose offers are as they were written

Progress = Callable[[int], None]
Indexer = Callable[[Catalog], tuple[OfferIndex | None, list[str]]]
"""Returns the index of a catalog, None where it is too small for one, and what speaks against the index."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A release that is not written yet, the faults that the gate sees, and how far its offers have the features."""

    release: Release
    faults: list[str]
    coverage: FeatureCoverage


def draft_release(
    model: Model, offers: Sequence[Offer], *, created_ms: int, embedded: Progress, indexer: Indexer | None = None
) -> Draft:
    """Embed the offers with the model's item tower; after each batch `embedded` is called with the number done so far.

    With an `indexer` the release gets an index, where that has a use.

    Raises BadModel when the two towers' vectors differ in length, or when the model's facts cannot be read, and
    ReleaseError where rankers would need too much memory for what its re-ranker keeps of the offers.
    """
    check_model(model)
    if model.reranker is not None:
        check_offer_side(model.reranker, len(offers))
    # In a fixed order the same offers give the same catalog, and thus the same release id.
    ordered = sorted(offers, key=lambda offer: offer.offer_id)
    vectors = np.empty((len(ordered), model.item_tower.dim), np.float32)
    errors: list[RowError] = []
    coverage = FeatureCoverage("offer", model.item_tower.spec.feature_names)
    for start in range(0, len(ordered), BATCH_OFFERS):
        batch = ordered[start : start + BATCH_OFFERS]
        features = [offer.features for offer in batch]
        made = model.item_tower.embed(features, [offer.offer_id for offer in batch])
        coverage = coverage.plus(coverage_of(model.item_tower.spec, features, made.errors))
        vectors[start : start + len(batch)] = made.vectors
        errors += [replace(error, index=start + error.index) for error in made.errors]
        embedded(start + len(batch))
    catalog, doubts = Catalog.of(ReleaseId(""), ordered, vectors), list[str]()
    if indexer is not None:
        index, doubts = indexer(catalog)
        catalog = catalog.indexed_by(index)
    # The id is a digest of what the catalog holds, so it can be set only after the catalog is there.
    release_id = release_id_of(model.model_id, catalog)
    named = replace(catalog, release_id=release_id, derived={})
    item_tower = reading_features(model.item_tower)
    release = Release(release_id, model.user_tower, named, created_ms, reranker=model.reranker, item_tower=item_tower)
    return Draft(release, [*faults_of(model, catalog, errors, coverage), *doubts], coverage)


def held_against(draft: Draft, store: ReleaseStore) -> Draft:
    """Add the faults that show in comparison with the serving release: offers that it has and the draft lacks.

    A serving release that cannot be read adds none: it must not keep its own replacement from being published.
    """
    current = store.current()
    try:
        serving = [] if current is None else store.load(current).catalog.offer_ids
    except (BadModel, ReleaseError):
        return draft
    return replace(draft, faults=[*draft.faults, *missing_offers(serving, draft.release.catalog.offer_ids)])


def reindex(store: ReleaseStore, indexer: Indexer, *, created_ms: int, keep: int) -> Release:
    """Publish the current release's offers as they are now once more, with an index built anew, and switch to it.

    An index is part of what a release id stands for, so this is a new release, by the same towers; the gate has judged
    these already, and what it was forced to overlook stays on record. `refresh` then reads its topic from the start, so
    that changes that came meanwhile are not lost.

    Raises GateRefusal for an index that finds too little, and ReleaseError where there is no release, where its catalog
    is too small for an index, and where another release has become current meanwhile.
    """
    current = store.current()
    if current is None:
        raise ReleaseError("there is no release whose index could be built anew: publish one")
    model, served = store.model(current), store.load(current)
    index, doubts = indexer(served.catalog)
    if doubts:
        raise GateRefusal(f"refused: {'; '.join(doubts)}")
    if index is None:
        raise ReleaseError(f"release {current} has {len(served.catalog)} offers, which are ranked exactly as fast")
    catalog = served.catalog.indexed_by(index)
    release_id = release_id_of(model.model_id, catalog)
    named = replace(catalog, release_id=release_id, derived={})
    release = replace(served, release_id=release_id, catalog=named, created_ms=created_ms, mark=_NO_CHANGES)
    store.write(release, model)
    if (now := store.current()) != current:
        raise ReleaseError(f"release {now} became current while the index of {current} was built; nothing was switched")
    store.activate(release_id, keep=keep)
    return release


def publish(store: ReleaseStore, model: Model, draft: Draft, *, keep: int, force: bool) -> Release:
    """Write the release beside the current one, verify it, and move the pointer to it.

    Raises GateRefusal when the draft has faults, unless `force` is set; the manifest then lists them.
    """
    if draft.faults and not force:
        raise GateRefusal(f"refused: {'; '.join(draft.faults)} (--force publishes it all the same)")
    release = replace(draft.release, forced=tuple(draft.faults))
    store.write(release, model)
    store.activate(release.release_id, keep=keep)
    return release
