"""The Open Bandit Dataset as events: https://research.zozo.com/data.html (Saito et al., arXiv:2008.07146).

A row of the log is a single shown position, without a customer or a slate. So the tuple of the four user features
stands for the customer, and each row becomes a request of its own that asks for every offer. A click accepts the row's
item.
"""

import csv
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from xxhash import xxh3_64_hexdigest

from stream_scorer.core.buffer.examples import example_id
from stream_scorer.core.messages import (
    Acceptance,
    CustomerId,
    CustomerRequest,
    LabelledExample,
    Offer,
    OfferId,
    RequestId,
)
from stream_scorer.errors import UsageError

_CONTEXT = "item_context.csv"
_CUSTOMER = tuple(f"user_feature_{place}" for place in range(4))
_AFFINITY = "user-item_affinity_"
_ANSWER_MS = 1_000  # the log states no time of a click, so every answer comes this long after its request

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class OpenBandit:
    """The log of a campaign, and the file of its offers."""

    log: Path
    context: Path

    @classmethod
    def at(cls, folder: Path) -> "OpenBandit":
        """Locate the two files of a campaign. Raises UsageError unless the folder has the offers and a single log."""
        context = folder / _CONTEXT
        logs = [path for path in sorted(folder.glob("*.csv")) if path != context]
        if not context.is_file() or len(logs) != 1:
            names = [path.name for path in logs]
            raise UsageError(f"{folder} must hold {_CONTEXT} and one log such as men.csv, got {names}")
        return cls(logs[0], context)

    def offers(self) -> list[Offer]:
        """Return the data set's items as offers. Raises UsageError, with the line, for a bad row."""
        return list(_each(self.context, _offer))

    def events(self) -> Iterator[tuple[CustomerRequest, Acceptance | None]]:
        """Yield a request for each row, in the order of the log, with an acceptance where the row was clicked."""
        limit = len(self.offers())

        def event(row: Mapping[str, str]) -> tuple[CustomerRequest, Acceptance | None]:
            request = _request(row, prefix=self.log.parent.name, limit=limit)
            return request, _acceptance(request, OfferId(row["item_id"])) if row["click"] == "1" else None

        return _each(self.log, event)

    def examples(self) -> Iterator[LabelledExample]:
        """Yield each row as it was logged: the item shown, its position, and the propensity of showing it there."""
        offers = {offer.offer_id: offer for offer in self.offers()}

        def example(row: Mapping[str, str]) -> LabelledExample:
            request = _request(row, prefix=self.log.parent.name, limit=len(offers))
            return _example(request, offers[OfferId(row["item_id"])], row)

        return _each(self.log, example)


def _each(path: Path, made: Callable[[Mapping[str, str]], Made]) -> Iterator[Made]:
    """Yield what `made` returns for each row. Raises UsageError, with the line, for a row unlike the data set's."""
    with path.open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(lines, strict=True)
        try:
            for row in rows:
                if None in row or None in row.values():  # cells beyond the header, or too few
                    raise ValueError("the row has another number of cells than the header")  # noqa: TRY301
                yield made(row)
        except KeyError as error:  # a column that the file lacks, or an item that is not among the offers
            raise UsageError(
                f"{path}, line {rows.line_num}: {error} is not there, as a column or as an item"
            ) from error
        except (csv.Error, ValueError, OverflowError) as error:  # UnicodeDecodeError is a ValueError
            raise UsageError(f"{path}, line {rows.line_num}: {error}") from error


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"a number must be finite, got {text}")
    return number


def _offer(row: Mapping[str, str]) -> Offer:
    texts = {name: value for name, value in row.items() if name in {f"item_feature_{place}" for place in (1, 2, 3)}}
    return Offer(offer_id=OfferId(row["item_id"]), features={"item_feature_0": _number(row["item_feature_0"]), **texts})


def _request(row: Mapping[str, str], *, prefix: str, limit: int) -> CustomerRequest:
    customer = {name: row[name] for name in _CUSTOMER}
    affinities = {name: _number(value) for name, value in row.items() if name.startswith(_AFFINITY)}
    return CustomerRequest(
        # The column without a name numbers the rows of its log, so the campaign's folder makes the id unique.
        request_id=RequestId(f"{prefix}-{row['']}"),
        customer_id=CustomerId(xxh3_64_hexdigest("|".join(customer.values()).encode())),
        event_time_ms=int(datetime.fromisoformat(row["timestamp"]).timestamp() * 1000),
        features={**customer, **affinities},
        limit=limit,
    )


def _example(request: CustomerRequest, offer: Offer, row: Mapping[str, str]) -> LabelledExample:
    clicked = row["click"] == "1"
    return LabelledExample(
        example_id=example_id(request.request_id, request.customer_id, offer.offer_id),
        revision=1,
        request_id=request.request_id,
        customer_id=request.customer_id,
        offer_id=offer.offer_id,
        accepted=1 if clicked else 0,
        cause="accepted" if clicked else "declined",
        customer_features=request.features,
        offer_features=offer.features,
        rank=int(row["position"]),
        score=None,
        propensity=_number(row["propensity_score"]),
        release_id=None,
        request_time_ms=request.event_time_ms,
        label_time_ms=request.event_time_ms + _ANSWER_MS,
        exposure="shown",  # the log states for each row whether it was clicked
    )


def _acceptance(request: CustomerRequest, offer_id: OfferId) -> Acceptance:
    return Acceptance(
        acceptance_id=f"{request.request_id}-click",
        request_id=request.request_id,
        customer_id=request.customer_id,
        offer_id=offer_id,
        accepted=True,
        event_time_ms=request.event_time_ms + _ANSWER_MS,
        request_time_ms=request.event_time_ms,
    )
