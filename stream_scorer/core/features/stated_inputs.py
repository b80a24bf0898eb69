"""What a tower reads, in words: a line for each input."""

from dataclasses import dataclass

from stream_scorer.core.features.spec import Bag, Category, Input, Number, Vector


@dataclass(frozen=True, slots=True)
class StatedInput:
    """An input of a tower; `missing` is a share of the rows, `distinct` counts values, None where they are too many."""

    name: str
    kind: str
    missing: float
    distinct: int | None
    encoding: str

    def line(self) -> str:
        """Describe the input in a sentence for people."""
        distinct = (
            "many values" if self.distinct is None else f"{self.distinct:,} value{'' if self.distinct == 1 else 's'}"
        )
        missing = "" if self.missing <= 0 else f", {_percent(self.missing)} missing"
        return f"{self.name}: {self.kind}, {distinct}{missing}; {self.encoding}"


def kind_of_input(one: Input) -> str:
    """Name what an input's values are."""
    match one:
        case Number():
            return {"plain": "number", "text": "number in text", "date": "date"}[one.reading]
        case Vector():
            return f"vector of {len(one.means)}"
        case Bag():
            return "list of texts"
        case Category():
            return "id" if one.from_id else "bool" if one.is_bool else "code" if one.whole else "text"


def encoding_of(one: Input) -> str:
    """Say what becomes of an input's values."""
    match one:
        case Number() | Vector():
            return ", ".join(_numeric(one))
        case Category() | Bag():
            hashed = f" and {one.buckets:,} that the others share" if one.buckets else ""
            return f"embedded, {len(one.vocabulary):,} rows{hashed}"


def _numeric(one: Number | Vector) -> list[str]:
    steps = ["days since 1970"] if isinstance(one, Number) and one.reading == "date" else []
    steps += ["logarithm"] if isinstance(one, Number) and one.log else []
    steps += ["standardised", *([f"a curve of {one.pieces} pieces"] if isinstance(one, Number) and one.pieces else [])]
    steps += [f"clipped at ±{one.clip:g}"] if one.clip is not None else []
    if isinstance(one, Number) and one.sentinels:
        steps.append(f"{', '.join(f'{value:.10g}' for value in one.sentinels)} read as missing")
    return [*steps, "missing has a column"] if one.indicator else steps


def _percent(share: float) -> str:
    return "under 0.1 %" if share < 0.001 else f"{100 * share:.3g} %"


def stated(one: Input, name: str, *, missing: float, distinct: int | None) -> StatedInput:
    """Describe an input, with its share of missing values and its count of distinct values."""
    return StatedInput(name, kind_of_input(one), round(missing, 6), distinct, encoding_of(one))
