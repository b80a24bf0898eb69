"""A catalog, and a policy over its offers, from users' tables."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from pydantic import TypeAdapter, ValidationError

from stream_scorer.adapters.tables.layouts import OFFERS
from stream_scorer.adapters.tables.places import shown
from stream_scorer.adapters.tables.reader import Message, TableFile, strict_object
from stream_scorer.core.messages import LIMIT_MAX, Offer
from stream_scorer.core.wire.codec import refusal_of
from stream_scorer.errors import UsageError

_OFFER = TypeAdapter(Offer)


def read_offers(path: Path) -> list[Offer]:
    """Read a catalog, in the order of the file.

    Raises UsageError for a file without offers, and with file, row, column and value for the first row that is not an
    offer or repeats an id.
    """
    table = TableFile(path, OFFERS)
    offers = []
    for offer in _each(table, table.rows()):
        if isinstance(offer, UsageError):
            raise offer
        offers.append(offer)
    if not offers:
        raise UsageError(f"{path} has no offers")
    return offers


def offers_or_refusals(path: Path) -> Iterator[Offer | UsageError]:
    """Yield for each row its offer, or the reason why it is not an offer.

    Raises UsageError at once for a file that does not exist or has no known format, and while rows are read for a file
    that is not a table.
    """
    table = TableFile(path, OFFERS)
    return _each(table, table.rows_or_refusals())


def _each(table: TableFile, rows: Iterable[tuple[int, Message | UsageError]]) -> Iterator[Offer | UsageError]:
    first: dict[str, int] = {}
    for number, row in rows:
        place = f"{table.path}, {table.unit} {number}"
        offer = row if isinstance(row, UsageError) else _offer(place, row)
        if isinstance(offer, Offer) and (earlier := first.setdefault(offer.offer_id, number)) != number:
            offer = UsageError(f"{place}: offer {offer.offer_id!r} is there twice, first in {table.unit} {earlier}")
        yield offer


def _offer(place: str, row: Message) -> Offer | UsageError:
    try:
        return _OFFER.validate_python(row)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        got = "" if first["type"] == "missing" else f", got {shown(first['input'])}"
        return UsageError(f"{place}: {refusal_of(error, row).message}{got}")


class _Choice(msgspec.Struct):
    """A row of a policy's table: the probability that the offer is shown at this rank, counted from 1."""

    offer_id: str
    rank: Annotated[int, msgspec.Meta(ge=1, le=LIMIT_MAX)]
    probability: float


def read_policy(path: Path, offers: Sequence[Offer]) -> dict[int, "np.ndarray[Any, np.dtype[np.float64]]"]:
    """Read a policy that ignores the customer: JSON lines of offer_id, rank (from 1) and probability.

    Returns, by rank, the probabilities (N,) in the order of `offers`. An offer that a rank leaves out is never shown
    there.

    Raises UsageError for a line that is not such a row or names an unknown offer, and for a rank with a negative
    probability or whose probabilities do not sum to 1.
    """
    places = {offer.offer_id: place for place, offer in enumerate(offers)}
    table: dict[int, np.ndarray[Any, np.dtype[np.float64]]] = {}
    for number, line in TableFile(path, OFFERS, format="jsonl").lines():
        row = _choice(path, number, line)
        if row.offer_id not in places:
            raise UsageError(f"{path}, line {number}: there is no offer {shown(row.offer_id)} among the {len(offers)}")
        table.setdefault(row.rank, np.zeros(len(offers)))[places[row.offer_id]] = row.probability
    for rank, chances in table.items():
        # The margin allows for probabilities that were rounded when the table was written.
        if not (chances >= 0).all() or abs(float(chances.sum()) - 1) > 1e-6:
            raise UsageError(f"{path}: the probabilities of rank {rank} must sum to 1, got {chances.sum():.6f}")
    return table


def _choice(path: Path, number: int, line: bytes) -> _Choice:
    row = strict_object(path, number, line)
    try:
        return msgspec.convert(row, _Choice)
    except msgspec.ValidationError as error:
        raise UsageError(f"{path}, line {number}: {error}") from error
