"""Small models, offers and releases that tests of the store and its users share."""

from dataclasses import replace

import numpy as np

from stream_scorer.adapters.memory.lists import MemoryLists
from stream_scorer.core.features.spec import Category, FeatureSpec, Number
from stream_scorer.core.messages import Offer, OfferId, ReleaseId
from stream_scorer.core.releases.catalog import Catalog
from stream_scorer.core.releases.change import OfferChange
from stream_scorer.core.releases.offer_index import InvertedFile, OfferIndex
from stream_scorer.core.releases.release import Release, release_id_of
from stream_scorer.core.towers.model import Model, digest_model
from stream_scorer.core.towers.reranker import Reranker
from stream_scorer.core.towers.tower import Layer, Tower, digest_towers
from stream_scorer.ports import ReleaseStore

DIM = 4


def tower(side: str, seed: int) -> Tower:
    rng = np.random.default_rng(seed)
    spec = FeatureSpec(side, (Number("price"), Category("colour", ("red", "blue"), buckets=4)))  # type: ignore[arg-type]
    table = rng.normal(size=(spec.table_rows, 3)).astype(np.float32)
    return Tower(spec, table, "concat", (Layer(rng.normal(size=(DIM, 4)), rng.normal(size=DIM)),))


def model(seed: int) -> Model:
    user, item = tower("customer", seed), tower("offer", seed + 1)
    return Model(digest_towers(user, item), user, item, {"note": "made up", "auc": 0.7})


def reranked_model(seed: int, reranker: Reranker) -> Model:
    made = model(seed)
    model_id = digest_model(made.user_tower, made.item_tower, reranker)
    return replace(made, model_id=model_id, reranker=reranker)


def offer(number: int, **changes: object) -> Offer:
    return Offer(**{"offer_id": f"offer-{number}", "features": {"price": float(number), "colour": "red"}, **changes})  # type: ignore[arg-type]


def release(made: Model, offers: list[Offer], created_ms: int = 1_000) -> Release:
    vectors = made.item_tower.embed([one.features for one in offers], [one.offer_id for one in offers]).vectors.astype(
        np.float32
    )
    catalog = Catalog.of(ReleaseId(""), offers, vectors)
    release_id = release_id_of(made.model_id, catalog)
    named = replace(catalog, release_id=release_id)
    return Release(release_id, made.user_tower, named, created_ms, reranker=made.reranker, item_tower=made.item_tower)


def indexed_release(made: Model, offers: list[Offer]) -> Release:
    """Return a release with an index of two lists."""
    plain = release(made, offers).catalog
    file = InvertedFile(plain.vectors[:2].copy(), np.arange(len(plain), dtype=np.int32) % 2, 1, 0.99)
    catalog = plain.indexed_by(OfferIndex(file, MemoryLists(file, plain.vectors), plain.offer_ids, plain.vectors))
    release_id = release_id_of(made.model_id, catalog)
    return Release(release_id, made.user_tower, replace(catalog, release_id=release_id), 1_000)


def change(made: Model, stated: Offer, offset: int, partition: int = 0) -> OfferChange:
    vector = made.item_tower.embed([stated.features], [stated.offer_id]).vectors.astype(np.float32).tobytes()
    return OfferChange(OfferId(stated.offer_id), stated, vector, (partition, offset))


def withdrawal(number: int, offset: int) -> OfferChange:
    return OfferChange(OfferId(f"offer-{number}"), None, b"", (0, offset))


def published(store: ReleaseStore, seed: int = 1, offers: int = 5, keep: int = 3) -> tuple[Model, Release]:
    made = model(seed)
    written = release(made, [offer(number) for number in range(offers)], created_ms=seed)
    store.write(written, made)
    store.activate(written.release_id, keep=keep)
    return made, written
