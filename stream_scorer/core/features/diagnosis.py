"""How a feature is read, and what its owner should know: texts that are numbers or dates, sentinels, codes, leaks.

A reading that is sure is applied and reported; an unsure reading is only reported. `train --read SIDE.NAME=KIND`
overrides both.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from stream_scorer.core.features.text_numbers import (
    Reading,
    days_in,
    is_integer,
    looks_like_a_local_date,
    number_in,
)
from stream_scorer.errors import UsageError

ReadAs = Literal["number", "category", "off"]
READ_AS: tuple[ReadAs, ...] = ("number", "category", "off")

# What people write where a number is missing: -1, -9, rows of nines, and the limits of integer types.
_NINES = [10.0**digits - 1 for digits in range(2, 10)]
_LIMITS = [-(2.0**63), -(2.0**31), 2.0**31 - 1, -32_768.0, 32_767.0]
SENTINELS = np.array([-1.0, -9.0, *_NINES, *(-nines for nines in _NINES), *_LIMITS])
LEAK_AUC = 0.98
_CODE_NAME = re.compile(
    r"(?:^|[_.\- ])(?:id|code|zip|zipcode|postcode|postal|plz|category|cat|class|type|genre|brand|segment|region"
    r"|cluster|sku|mcc)s?"
    r"(?:[_.\- ]?(?:id|code|nr|no|num|number))?$",
    re.IGNORECASE,
)
_DISORDER_SURE, _DISORDER_SAID = 4.5, 3.2  # standard errors of disorder from which numbers are codes, or may be
_TEXT_CODES_MAX = 20  # so few whole numbers, written as text, lose nothing as categories
_LEVELS_MIN = 3
_MOSTLY = 0.9  # share of the texts that parse, from which the owner hears of the others
_REST_MIN = 10  # values besides the sentinels that are needed to show what is usual
_SHOWN_MAX = 40


@dataclass(frozen=True, slots=True)
class Evidence:
    """What labels say of a single feature.

    `auc` is how well its values alone separate accepted rows from others. `disorder` is by how many standard errors
    the rates of acceptance depart from a smooth order of its numbers.
    """

    auc: float = 0.5
    disorder: float = 0.0


NO_EVIDENCE = Evidence()


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """What is known of the values of one feature.

    `texts` and `numbers` count the rows of each distinct value; `numbers` is None where there are too many. `odd`
    counts the numbers that may be sentinels; `low` and `high` bound the others.
    """

    name: str  # with its side: offer.price
    kind: str
    rows: int
    missing: int
    texts: Mapping[str, int] = field(default_factory=dict)
    numbers: Mapping[float, int] | None = None
    odd: Mapping[float, int] = field(default_factory=dict)
    low: float = 0.0
    high: float = 0.0

    @property
    def distinct(self) -> int | None:
        """How many distinct values there are; None for too many numbers, and for lists of numbers."""
        counted = self.numbers if self.kind == "number" else self.texts
        return len(counted) if counted else None

    def line(self) -> str:
        """Describe the feature in words."""
        count = self.distinct
        distinct = (
            "" if self.kind == "list of numbers" else ", many values" if count is None else f", {count:,} distinct"
        )
        missing = f", {100 * self.missing / max(self.rows, 1):.3g} % missing" if self.missing else ""
        return f"{self.name}: {self.kind}{distinct}{missing}"


@dataclass(frozen=True, slots=True)
class Decided:
    """How a feature is read (a `kind` of None: not at all), and cautions for its owner."""

    kind: str | None
    reading: Reading = "plain"
    sentinels: tuple[float, ...] = ()
    cautions: tuple[str, ...] = ()


def decide(column: ColumnFacts, asked: ReadAs | None, evidence: Evidence) -> Decided:
    """Decide how a feature is read; raise UsageError when its values cannot be read as `asked`."""
    if asked == "off":
        return Decided(None)
    if column.kind == "null":
        return Decided(None, cautions=(f"{column.name} is always missing: left out",))
    deciders: Mapping[str, Callable[[ColumnFacts, ReadAs | None, Evidence], Decided]] = {
        "string": _decide_text,
        "number": _decide_number,
    }
    decider = deciders.get(column.kind)
    if decider is None and asked == "number":
        raise UsageError(f"--read {column.name}=number: its values are of kind {column.kind}, and not numbers")
    decided = Decided(column.kind) if decider is None else decider(column, asked, evidence)
    said = [*decided.cautions, *_constant(column), *_leak(column, evidence)]
    return Decided(decided.kind, decided.reading, decided.sentinels, tuple(said))


def _constant(column: ColumnFacts) -> list[str]:
    if column.missing or (column.kind == "number" and column.numbers is None):
        return []
    values: list[object] = [*(column.texts if column.kind in {"string", "bool"} else column.numbers or {})]
    if len(values) != 1:
        return []
    return [f"{column.name} is always {_shown(values[0])}: left out"]


def _leak(column: ColumnFacts, evidence: Evidence) -> list[str]:
    if evidence.auc < LEAK_AUC:
        return []
    said = (
        f"{column.name} alone separates accepted rows from others (AUC {evidence.auc:.3f}): is it known "
        "before the customer "
        f"answers? If not, leave it out by --read {column.name}=off"
    )
    return [said]


def _decide_text(column: ColumnFacts, asked: ReadAs | None, evidence: Evidence) -> Decided:
    if asked == "category":
        return Decided("string")
    numbers = _parsed_share(column.texts, number_in)
    if asked == "number" and numbers < 1:
        wrong = next(text for text in column.texts if number_in(text) is None)
        raise UsageError(f"--read {column.name}=number: {wrong!r} is no number")
    if numbers == 1:
        return _numeric_text(column, asked)
    dates = _parsed_share(column.texts, days_in)
    if dates == 1:
        said = f"{column.name}: its texts are dates ({_example(column.texts, days_in)}), read as days since 1970"
        return Decided("number", "date", cautions=(said,))
    return Decided("string", cautions=tuple(_nearly(column, numbers, dates)))


def _numeric_text(column: ColumnFacts, asked: ReadAs | None) -> Decided:
    example = _example(column.texts, number_in)
    whole = all(is_integer(text.strip()) for text in column.texts)
    if asked is None and whole and (len(column.texts) <= _TEXT_CODES_MAX or _is_code_name(column.name)):
        said = (
            f"{column.name}: its texts are whole numbers ({example}), taken as codes and read as categories; "
            f"--read {column.name}=number reads them as numbers"
        )
        return Decided("string", cautions=() if len(column.texts) == 1 else (said,))
    said = (
        f"{column.name}: its texts are numbers ({example}), and are read as such; --read "
        f"{column.name}=category keeps them as text"
    )
    return Decided("number", "text", cautions=() if asked else (said,))


def _nearly(column: ColumnFacts, numbers: float, dates: float) -> list[str]:
    for share, parse, what in ((numbers, number_in, "numbers"), (dates, days_in, "ISO dates")):
        if share >= _MOSTLY:
            other = next(text for text in column.texts if parse(text) is None)
            said = (
                f"{column.name}: {share:.0%} of its texts are {what}, but not all, such as "
                f"{_shown(other)}: read as text; "
                "write null in place of those"
            )
            return [said]
    local = [text for text in column.texts if looks_like_a_local_date(text)]
    if local and len(local) >= _MOSTLY * len(column.texts):
        return [
            f"{column.name}: its texts look like dates ({_shown(local[0])}): read as text; write them as 2024-05-31"
        ]
    return []


def _parsed_share(texts: Mapping[str, int], parse: Callable[[str], float | None]) -> float:
    """Return the share of rows whose text parses, 1 only where every text does; 0 where no text means a value."""
    parsed = {text: parse(text) for text in texts}
    if not any(value is not None and value == value for value in parsed.values()):  # noqa: PLR0124  NaN is a null word
        return 0.0
    good = sum(texts[text] for text, value in parsed.items() if value is not None)
    return 1.0 if None not in parsed.values() else min(good / max(sum(texts.values()), 1), 1 - 1e-9)


def _decide_number(column: ColumnFacts, asked: ReadAs | None, evidence: Evidence) -> Decided:
    if asked == "number":
        return Decided("number")
    levels = _levels(column)
    if asked == "category":
        if levels is None:
            raise UsageError(
                f"--read {column.name}=category: its values must be whole numbers, and at most some thousands of them"
            )
        return Decided("codes")
    sentinels, unsure = _sentinels(column)
    if (
        levels is not None
        and len(levels.keys() - set(sentinels)) >= _LEVELS_MIN
        and (why := _why_codes(column, evidence))
    ):
        said = (
            f"{column.name}: its {len(levels):,} whole numbers look like codes ({why}), and are read as categories; "
            f"--read {column.name}=number reads them as numbers"
        )
        return Decided("codes", cautions=(said,))
    return Decided(
        "number", "plain", sentinels, (*_sentinel_cautions(column, sentinels, unsure), *_maybe_codes(column, evidence))
    )


def _levels(column: ColumnFacts) -> Mapping[float, int] | None:
    numbers = column.numbers
    return numbers if numbers and all(float(one).is_integer() for one in numbers) else None


def _why_codes(column: ColumnFacts, evidence: Evidence) -> str | None:
    if _is_code_name(column.name):
        return "by its name"
    return "acceptances follow no order of them" if evidence.disorder >= _DISORDER_SURE else None


def _maybe_codes(column: ColumnFacts, evidence: Evidence) -> list[str]:
    if evidence.disorder < _DISORDER_SAID:
        return []
    said = (
        f"{column.name}: its whole numbers may be codes, since acceptances hardly follow their order: read as numbers; "
        f"--read {column.name}=category makes them categories"
    )
    return [said]


def _is_code_name(name: str) -> bool:
    return _CODE_NAME.search(name.partition(".")[2]) is not None


def _sentinels(column: ColumnFacts) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the numbers that surely stand for a missing value, and those that may."""
    rest = column.rows - column.missing - sum(column.odd.values())
    if rest < _REST_MIN:
        return (), ()
    judged = {value: _is_sentinel(value, count, column) for value, count in sorted(column.odd.items())}
    return tuple(value for value, sure in judged.items() if sure), tuple(
        value for value, sure in judged.items() if sure is None
    )


def _is_sentinel(value: float, count: int, column: ColumnFacts) -> bool | None:
    """Judge by its distance from the others whether a value is a sentinel; None where it may be."""
    span = column.high - column.low
    if value < 0:
        # Beside only a few distinct numbers, a small negative may be an ordinary value, such as a code.
        several = column.numbers is None or len(column.numbers.keys() - column.odd.keys()) >= _REST_MIN
        return (column.low >= 0 and (several or value < -_REST_MIN)) or column.low - value > 2 * span > 0
    if value - column.high <= 2 * span or not span:
        return False
    largest = max(abs(column.low), abs(column.high))
    repeated = count >= max(3, 0.005 * (column.rows - column.missing))
    return True if value >= 10 * largest or repeated else None


def _sentinel_cautions(column: ColumnFacts, sure: tuple[float, ...], unsure: tuple[float, ...]) -> list[str]:
    said = []
    usual = f"the others lie from {column.low:.6g} to {column.high:.6g}"
    if sure:
        rows = sum(column.odd[value] for value in sure)
        said.append(
            f"{column.name}: {_listed(sure)} ({rows:,} of {column.rows:,}) stands for a missing value, "
            f"since {usual}, and is read "
            f"as missing; --read {column.name}=number reads it as a number"
        )
    if unsure:
        said.append(
            f"{column.name}: does {_listed(unsure)} stand for a missing value? {usual}: read as a number; "
            "write null instead"
        )
    return said


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.10g}" for value in values)


def _example(texts: Mapping[str, int], parse: Callable[[str], float | None]) -> str:
    good = (text for text in texts if (value := parse(text)) is not None and value == value)  # noqa: PLR0124  not a null word
    return f"such as {_shown(next(good))}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}…"
