"""Checks a file of requests as a ranker would read them, beside the features and ids that are known."""

from collections import Counter
from collections.abc import Collection, Sequence

from stream_scorer.core.features.coverage import FeatureCoverage, coverage_of
from stream_scorer.core.features.spec import FeatureSpec
from stream_scorer.core.features.stats import FeatureStats
from stream_scorer.core.messages import SECONDS_FROM, SECONDS_TO, CustomerRequest, Offer
from stream_scorer.core.records import Record
from stream_scorer.core.wire.codec import decode_all

_NAMED_MAX = 5


class RequestCheck:
    """Takes requests batch by batch; `spec` is what customers are read by, None: not known."""

    def __init__(self, spec: FeatureSpec | None, offers: Sequence[Offer], customers: Collection[str]) -> None:
        """Know what requests are held to."""
        self.stats = FeatureStats("customer")
        self.coverage = None if spec is None else FeatureCoverage("customer", spec.feature_names)
        self.wrong: list[str] = []  # why requests would become dead letters
        self.count = 0
        self._spec, self._customers = spec, customers
        self._known = {offer.offer_id for offer in offers}
        self._attributes = {name for offer in offers for name in offer.features}
        self._named: Counter[bool] = Counter()
        self._unknown_example = ""
        self._filters: set[str] = set()
        self._strangers = self._seconds = 0

    def add(self, values: Sequence[bytes], numbers: Sequence[int]) -> None:
        """Take requests into account; `numbers` are those of their rows."""
        records = [Record("requests", 0, number, None, value, 0) for value, number in zip(values, numbers, strict=True)]
        decoded = decode_all(records, CustomerRequest)
        self.wrong += [
            f"row {letter.record.offset}: {letter.message} ({letter.code})" for letter in decoded.dead_letters
        ]
        self.count += len(decoded.messages)
        features = [request.features for request in decoded.messages]
        customers = [request.customer_id for request in decoded.messages]
        self.stats.add(features, customers)
        if self._spec is not None and self.coverage is not None:
            errors = self._spec.encode(features, customers).errors
            self.wrong += [f"row {decoded.records[each.index].offset}: {each.message} ({each.code})" for each in errors]
            self.coverage = self.coverage.plus(coverage_of(self._spec, features, errors))
        for request in decoded.messages:
            self._look(request)

    def _look(self, request: CustomerRequest) -> None:
        for offer_id in request.offer_ids:
            self._named[offer_id in self._known] += 1
            if offer_id not in self._known:
                self._unknown_example = self._unknown_example or offer_id
        for stated in request.stated_offers:
            self._attributes.update(stated.features)
        self._strangers += request.customer_id not in self._customers
        if SECONDS_FROM <= request.event_time_ms <= SECONDS_TO:
            self._seconds = self._seconds or request.event_time_ms
        self._filters.update(one.attribute for one in request.filters)

    def sentence(self) -> str:
        """Say how many there are, and whom labels know."""
        known = f", {self.count - self._strangers:,} of customers that labels know" if self._customers else ""
        return f"{self.count:,} requests of {self.stats.distinct_ids:,} customers{known}"

    def cautions(self) -> list[str]:
        """Say what of the catalog is named and is not there."""
        said = []
        if self._seconds:
            said.append(
                f"event_time_ms looks like seconds ({self._seconds}), but is read as milliseconds: multiply by 1000"
            )
        if self._known and self._named[False] and self._named[True]:
            said.append(
                f"{self._named[False]:,} of {self._named.total():,} offers that requests name are not in the catalog, "
                f"such as {self._unknown_example!r}"
            )
        if self._known and (strange := sorted(self._filters - self._attributes)):
            said.append(f"no offer has what filters compare: {', '.join(strange[:_NAMED_MAX])}")
        return said

    def faults(self) -> list[str]:
        """Say that nothing would be eligible."""
        if not self._known or not self._named[False] or self._named[True]:
            return []
        said = (
            f"none of the {self._named.total():,} offers that requests name is in the catalog, such as "
            f"{self._unknown_example!r}: write ids in both files alike"
        )
        return [said]
