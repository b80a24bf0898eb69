"""Trains both towers in H2O, each as a classifier of `accepted` on its own, from the columns of the workbench.

The user tower reads customer_id, price, rank and score; the item tower reads offer, price, rank and score. When a tower
serves, there is no rank or score yet, and no offer's price on the customer's side. A missing number counts as its mean
in training, as in H2O; the facts state these means under `defaults`. The towers share no vector space, so look at their
held-out AUC before they serve.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from stream_scorer.core.datasets.catalog_check import CatalogCheck
from stream_scorer.core.datasets.chunks import ExampleSource, Ints, Views
from stream_scorer.core.evaluation.auc import auc_beside_popularity
from stream_scorer.core.features.spec import Floats
from stream_scorer.core.messages import Offer
from stream_scorer.core.towers.h2o_network import check_not_dead, defaults_of
from stream_scorer.core.towers.model import Model
from stream_scorer.core.towers.tower import Tower, digest_towers
from stream_scorer.errors import UsageError
from stream_scorer.training.h2o.options import H2oOptions
from stream_scorer.training.h2o.server import h2o_server
from stream_scorer.training.h2o.training import H2oTable, H2oTrained, train_tower

PRICE = "price"


@dataclass(frozen=True, slots=True)
class H2oRows:
    """All examples as columns (n,); `customer` and `offer` are indices into the lists of ids."""

    customers: Sequence[str]
    offers: Sequence[str]
    customer: Ints
    offer: Ints
    customer_price: Floats  # the customer's own, else the offer's
    offer_price: Floats
    rank: Floats
    score: Floats
    weight: Floats
    accepted: npt.NDArray[np.int8]
    held_out: npt.NDArray[np.bool_]


def train_h2o(examples: ExampleSource, offers: Sequence[Offer], options: H2oOptions) -> Model:
    """Train and export both towers.

    Raises UsageError for data that H2O cannot learn from, or whose offers are mostly outside the catalog. Raises
    BadModel for a tower that does not reproduce H2O's outputs or whose vectors are all zero.
    """
    check = CatalogCheck(offers)
    rows = rows_of(examples, options)
    check.add(rows.offers, rows.offer)
    check.check()
    with TemporaryDirectory() as folder, h2o_server(Path(folder), options) as h2o:
        user = train_tower(h2o, user_table(rows), options, Path(folder))
        item = train_tower(h2o, item_table(rows), options, Path(folder))
        version = str(h2o.__version__)
    zero = {
        "user_tower": check_not_dead("user tower", user.tower, [{}] * len(rows.customers), rows.customers),
        "item_tower": check_not_dead(
            "item tower", item.tower, [one.features for one in offers], [one.offer_id for one in offers]
        ),
    }
    facts = {
        **_data_facts(rows, offers, options),
        **_tower_facts(user, item),
        **_judged(examples, rows, user.tower, item.tower),
        "rows_outside_catalog": check.outside,
        "h2o_version": version,
        "zero_vectors": zero,
    }
    return Model(digest_towers(user.tower, item.tower), user.tower, item.tower, facts)


def user_table(rows: H2oRows) -> H2oTable:
    """Return the columns that the user tower learns from."""
    numbers = {PRICE: rows.customer_price, "rank": rows.rank, "score": rows.score}
    return H2oTable(
        "customer", "customer_id", rows.customers, rows.customer, numbers, rows.accepted, rows.weight, rows.held_out
    )


def item_table(rows: H2oRows) -> H2oTable:
    """Return the columns that the item tower learns from."""
    numbers = {PRICE: rows.offer_price, "rank": rows.rank, "score": rows.score}
    return H2oTable("offer", "offer", rows.offers, rows.offer, numbers, rows.accepted, rows.weight, rows.held_out)


def rows_of(examples: ExampleSource, options: H2oOptions) -> H2oRows:
    """Read all examples, and hold out a share of the requests, drawn by the seed.

    Raises UsageError when there are no examples, when a price is not a number, and when either part lacks accepted rows
    or others.
    """
    customers: dict[str, int] = {}
    offers: dict[str, int] = {}
    parts: list[dict[str, npt.NDArray[Any]]] = []
    for chunk in examples.chunks():
        own, offered = _prices(chunk.customers)[chunk.customer], _prices(chunk.offers)[chunk.offer]
        parts.append(
            {
                "customer": _codes(chunk.customers, customers)[chunk.customer],
                "offer": _codes(chunk.offers, offers)[chunk.offer],
                "customer_price": np.where(np.isnan(own), offered, own),
                "offer_price": offered,
                # In the examples 0 is an unknown rank; H2O must see it as missing, not as a place above the first.
                "rank": np.where(chunk.rank > 0, chunk.rank, np.nan),
                "score": chunk.score,
                "weight": chunk.weight,
                "accepted": chunk.accepted,
                "request": chunk.request,
            }
        )
    if not parts:
        raise UsageError("there are no labelled examples to train on")
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    held_out = _held_out(columns.pop("request"), options)
    for what, accepted in (
        ("to learn from", columns["accepted"][~held_out]),
        ("held out", columns["accepted"][held_out]),
    ):
        if not 0 < accepted.sum() < len(accepted):
            raise UsageError(
                f"H2O needs accepted rows and others, got {accepted.sum()} accepted of {len(accepted)} rows {what}"
            )
    return H2oRows(customers=list(customers), offers=list(offers), held_out=held_out, **columns)


def _codes(views: Views, known: dict[str, int]) -> Ints:
    return np.array([known.setdefault(one, len(known)) for one in views.ids], np.int64)


def _prices(views: Views) -> Floats:
    prices = [features.get(PRICE) for features in views.features]
    for one, price in zip(views.ids, prices, strict=True):
        if price is not None and (isinstance(price, bool) or not isinstance(price, int | float)):
            raise UsageError(f"the {PRICE} of {one!r} must be a number, got {price!r}")
    return np.array(prices, np.float64)


def _held_out(request: npt.NDArray[np.uint64], options: H2oOptions) -> npt.NDArray[np.bool_]:
    """Draw whole requests: rows of one request are so alike that some of them could not judge the others."""
    requests, request_of = np.unique(request, return_inverse=True)
    drawn = np.random.default_rng(options.seed).random(len(requests)) < options.held_out
    return np.asarray(drawn[request_of.reshape(-1)])


def _data_facts(rows: H2oRows, offers: Sequence[Offer], options: H2oOptions) -> dict[str, object]:
    return {
        "engine": "h2o",
        "objective": "separate",
        "options": asdict(options),
        "rows": len(rows.accepted),
        "positives": int(rows.accepted.sum()),
        "customers": len(rows.customers),
        "catalog_offers": len(offers),
        "refused_rows": 0,
        "held_out_rows": int(rows.held_out.sum()),
        "held_out_loss": None,
    }


def _tower_facts(user: H2oTrained, item: H2oTrained) -> dict[str, object]:
    towers = {"user_tower": user, "item_tower": item}
    return {
        "epochs": max(user.epochs, item.epochs),
        "best_epoch": max(user.epochs, item.epochs),
        "classifier_auc": {name: one.auc for name, one in towers.items()},
        "defaults": {name: defaults_of(one.tower) for name, one in towers.items()},
        "golden": {name: one.golden for name, one in towers.items()},
        "parity_max_difference": max(one.difference for one in towers.values()),
    }


def _judged(examples: ExampleSource, rows: H2oRows, user: Tower, item: Tower) -> dict[str, object]:
    """Measure on the held-out rows the towers as they serve, without rank and score, and popularity beside them."""
    scores = []
    for chunk in examples.chunks():
        users = user.embed(chunk.customers.features, chunk.customers.ids).vectors[chunk.customer]
        scores.append(
            np.einsum("np,np->n", users, item.embed(chunk.offers.features, chunk.offers.ids).vectors[chunk.offer])
        )
    judged = rows.held_out
    popularity = np.bincount(rows.offer[~judged], rows.accepted[~judged].astype(np.float64), minlength=len(rows.offers))
    facts = auc_beside_popularity(
        rows.customer[judged],
        np.concatenate(scores)[judged],
        popularity[rows.offer[judged]],
        rows.accepted[judged],
    )
    return {**facts}
