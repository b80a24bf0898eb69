"""What labels say of a feature alone."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from stream_scorer.core.datasets.chunks import Views
from stream_scorer.core.datasets.label_evidence import LabelSample, separation
from stream_scorer.core.features.diagnosis import Evidence
from tests.example_samples import chunk

Floats = npt.NDArray[Any]


def evidence_of(values: Floats, accepted: Floats, views: int) -> Evidence:
    """Show each of `views` offers, whose feature x is given, to one customer, as often as there are labels."""
    offers = Views([f"o{one}" for one in range(views)], [{"x": value} for value in values.tolist()])
    rows = [(0, row % views, int(label)) for row, label in enumerate(accepted.tolist())]
    sample = LabelSample()
    sample.add(chunk(Views(["c"], [{}]), offers, rows))
    return sample.evidence("offer")["x"]


def drawn(rates: Floats, rows: int) -> Floats:
    rng = np.random.default_rng(1)
    return np.asarray(rng.random(rows) < np.resize(rates, rows))


def test_a_copy_of_the_label_separates() -> None:
    accepted = np.arange(4_000) % 7 == 0
    assert separation(accepted.astype(np.int64), accepted.astype(np.int8)) == 1.0


def test_a_value_a_row_separates_nothing() -> None:
    accepted = np.random.default_rng(0).random(4_000) < 0.3
    assert separation(np.arange(4_000), accepted.astype(np.int8)) == pytest.approx(0.5, abs=0.01)


def test_rates_without_order_are_found() -> None:
    levels = np.arange(200) % 8
    rates = np.array([0.1, 0.5, 0.2, 0.6, 0.1, 0.5, 0.2, 0.6])[levels]
    assert evidence_of(levels, drawn(rates, 20_000), 200).disorder > 6


def test_rates_in_order_are_no_codes() -> None:
    levels = np.arange(200) % 8
    assert evidence_of(levels, drawn(0.1 + 0.05 * levels, 20_000), 200).disorder < 3


def test_appeal_is_no_sign_of_codes() -> None:
    levels, own = np.arange(60) % 6, np.random.default_rng(2).uniform(0.05, 0.6, 60)
    assert evidence_of(levels, drawn(own, 20_000), 60).disorder < 3


def test_few_labels_show_nothing() -> None:
    levels = np.arange(80) // 2 % 2  # so that both halves of the rows have both levels
    assert evidence_of(levels, levels == 1, 80) == Evidence()
    levels = np.arange(120) // 2 % 2
    assert evidence_of(levels, levels == 1, 120).auc == 1.0


def test_disorder_within_a_segment_is_seen() -> None:
    levels, rates = np.arange(200) % 8, np.array([0.1, 0.5, 0.2, 0.6, 0.1, 0.5, 0.2, 0.6])
    offers = Views([f"o{one}" for one in range(200)], [{"x": level} for level in levels.tolist()])
    customers = Views(["a", "b"], [{"segment": "a"}, {"segment": "b"}])
    row = np.arange(20_000)
    segment, offer = row // 200 % 2, row % 200
    # What one segment likes the other leaves, so that together they show nothing.
    accepted = drawn(np.where(segment == 0, rates[levels[offer]], 0.7 - rates[levels[offer]]), len(row))
    sample = LabelSample()
    sample.add(
        chunk(
            customers, offers, list(zip(segment.tolist(), offer.tolist(), accepted.astype(int).tolist(), strict=True))
        )
    )
    assert sample.evidence("offer")["x"].disorder > 6
