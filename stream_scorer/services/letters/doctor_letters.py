"""The doctor's look at dead letters: how many there are of the last day, by code."""

from collections import Counter
from collections.abc import Iterator

from stream_scorer.ports import LogReader
from stream_scorer.services.letters.survey import LetterChoice, survey
from stream_scorer.services.operating.doctor import Finding

READ_MAX = 5_000
_CODES_SHOWN = 5
_DAY_MS = 86_400_000


def letter_findings(reader: LogReader, topic: str, *, now_ms: int) -> Iterator[Finding]:
    """Yield how many letters the last day has; of a topic with very many, the newest `READ_MAX` are counted."""
    if topic not in reader.topics([topic]):
        return  # a fault of its own
    seen = survey(reader, topic, LetterChoice(since_ms=now_ms - _DAY_MS), read_max=READ_MAX, newest_max=0)
    codes: Counter[str] = Counter()
    for each in seen.most_first():
        codes[each.code] += each.count
    in_all = codes.total()
    # where all that was read is of the last day, some of what was not read may be, too
    least = "at least " if seen.unread and in_all + seen.foreign >= READ_MAX // 2 else ""
    if not in_all:
        yield Finding("dead letters", "ok", "none in the last day")
        return
    shown = ", ".join(f"{count:,} {code}" for code, count in codes.most_common(_CODES_SHOWN))
    more = "" if len(codes) <= _CODES_SHOWN else f", {len(codes) - _CODES_SHOWN} further codes"
    says = f"{least}{in_all:,} in the last day: {shown}{more}"
    yield Finding("dead letters", "warning", says, "stream-scorer dead-letters list --since 24h")
