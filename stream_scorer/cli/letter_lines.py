"""Dead letters as lines for people, and as JSON for programs."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from stream_scorer.cli.times import shown_time

if TYPE_CHECKING:
    from stream_scorer.core.wire.letter_reading import Letter
    from stream_scorer.services.letters.resending import KindResent, Resent
    from stream_scorer.services.letters.survey import LetterSurvey

_WHY_SKIPPED = {
    "shortened": "had a value or key too large for a letter, which holds its head alone: send them from their source",
    "tried_out": "have failed as often as dead_letters.attempts_max allows, or state no readable attempt",
    "superseded": "are older statements of offers than what their owner has sent since",
    "erased": "are of customers who were erased, and no later than their erasure",
    "older": "are older than --since",
    "unknown_code": "have a code that none of our jobs writes",
    "no_target": "are about a topic that no user of this ring writes to: send again the events they came from",
}
_FIRST_COLUMN = 24
_COUNTS_SHOWN = 100


def survey_json(seen: "LetterSurvey") -> dict[str, Any]:
    """Return a survey as JSON for programs; times are milliseconds since the epoch."""
    from dataclasses import asdict

    return {
        "counts": [asdict(each) for each in seen.most_first()],
        "newest": [letter_json(letter) for letter in seen.newest],
        "foreign": seen.foreign,
        "unread_max": seen.unread,
    }


def survey_lines(seen: "LetterSurvey", topic: str) -> Iterator[str]:
    """Yield the counts, the newest letters, and what to type next."""
    if not seen.counts:
        yield f"no such dead letters on {topic}"
    else:
        yield f"{'code':<{_FIRST_COLUMN}} {'about':<20} {'letters':>9}  {'oldest':<20}  newest"
    for each in seen.most_first()[:_COUNTS_SHOWN]:
        yield (
            f"{_plain(each.code):<{_FIRST_COLUMN}} {_plain(each.topic):<20} {each.count:>9,}  "
            f"{shown_time(each.oldest_ms)}  {shown_time(each.newest_ms)}"
        )
    if seen.newest:
        yield ""
    for letter in seen.newest:
        yield (
            f"{letter.place:<12} {shown_time(letter.record.timestamp_ms)}  {_plain(letter.code)}  "
            f"{_source(letter)}  {_plain(letter.message)}"
        )
    if seen.newest:
        yield f"\nto see one: stream-scorer dead-letters show {seen.newest[0].place}"


def survey_remarks(seen: "LetterSurvey") -> Iterator[str]:
    """Yield what the counts leave out."""
    if (more := len(seen.counts) - _COUNTS_SHOWN) > 0:
        yield f"{more:,} further pairs of code and topic are not shown; --json has all"
    if seen.foreign:
        yield f"{seen.foreign:,} records are no dead letters of ours: they lack error.code or source.* headers"
    if seen.unread:
        yield f"up to {seen.unread:,} older letters were not read; --read-max reads more"


def letter_json(letter: "Letter") -> dict[str, Any]:
    """Return what the headers say of a letter, without its value."""
    return {
        "place": letter.place,
        "time_ms": letter.record.timestamp_ms,
        "code": letter.code,
        "message": letter.message,
        "source_topic": letter.source.topic,
        "source_partition": letter.source.number,
        "source_offset": letter.offset,
        "source_time_ms": letter.timestamp_ms,
        "attempt": letter.attempt,
        "shortened": letter.is_shortened,
    }


def letter_lines(letter: "Letter", head_chars: int) -> Iterator[str]:
    """Yield all of a letter: reason, cause and cure, source, headers, key, and the head of its value."""
    from stream_scorer.core.wire.letter_codes import CODES

    yield f"reason   {_plain(letter.message)} ({_plain(letter.code)})"
    if (code := CODES.get(letter.code)) is not None:
        yield f"cause    {code.cause}"
        yield f"cure     {code.cure}"
    yield f"source   {_source(letter)}, of {shown_time(letter.timestamp_ms)}"
    yield f"letter   {letter.place}, of {shown_time(letter.record.timestamp_ms)}"
    yield f"attempt  {'its header is not a number' if letter.attempt is None else letter.attempt}"
    for name, value in letter.record.headers:
        yield f"header   {_plain(name)}: {_text(value, head_chars)}"
    yield f"key      {'none' if letter.record.key is None else _text(letter.record.key, head_chars)}"
    yield from _value_lines(letter, head_chars)


def _value_lines(letter: "Letter", head_chars: int) -> Iterator[str]:
    value = letter.record.value
    if value is None:
        yield "value    none"
        return
    shortened = ", the head of a longer one" if letter.is_shortened else ""
    yield f"value    {len(value):,} bytes{shortened}"
    text = _readable(value)
    yield from (f"  {_plain(line)}" for line in text[:head_chars].split("\n"))
    if len(text) > head_chars:
        yield f"  … {len(text) - head_chars:,} characters more; --raw writes the value as it is"


def _readable(value: bytes) -> str:
    """Return JSON indented, or the text as it is, or the bytes in hexadecimal."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return value.hex(" ")
    import msgspec

    try:
        # it moves white space alone: every number keeps its digits, which may be what is wrong
        return msgspec.json.format(text, indent=2)
    except (msgspec.MsgspecError, RecursionError):
        return text


def resent_json(done: "Resent", *, dry_run: bool) -> dict[str, Any]:
    """Return what a resend did as JSON for programs."""
    from dataclasses import asdict

    # asdict would make of a Counter one that counts its pairs
    kinds = [{**asdict(kind), "skipped": dict(kind.skipped)} for kind in done.kinds]
    return {"sent": done.sent, "dry_run": dry_run, "kinds": kinds, "foreign": done.foreign, "fault": done.fault}


def resent_lines(done: "Resent", *, dry_run: bool) -> Iterator[str]:
    """Yield what a resend did, by code and source."""
    verb = "would be sent again" if dry_run else "were sent again"
    for kind in done.kinds:
        yield f"{_plain(kind.code):<{_FIRST_COLUMN}} {_plain(kind.topic):<20} {kind.sent:>9,} {verb}{_rest(kind)}"
    yield f"{done.sent:,} letters {verb}"


def _rest(kind: "KindResent") -> str:
    parts = [f"{count:,} {reason}" for reason, count in kind.skipped.items()]
    parts += [f"{kind.left:,} left for the next time"] if kind.left else []
    return f"; {', '.join(parts)}" if parts else ""


def resent_remarks(done: "Resent", *, dry_run: bool = False) -> Iterator[str]:
    """Yield why letters were not sent again, and what was lost of those that were."""
    from stream_scorer.services.letters.resending import reasons_of

    for reason, count in reasons_of(done.kinds).items():
        yield f"{count:,} letters were passed over: they {_WHY_SKIPPED[reason]}"
    if lost := sum(kind.lost_headers for kind in done.kinds):
        yield f"{lost:,} of them lack some of their own headers, for which a letter had no room"
    if unchecked := sum(kind.unchecked for kind in done.kinds):
        yield (
            f"{unchecked:,} of them are older than the oldest outcome that is kept: whether their customers were "
            "erased before that could not be checked; erase again whoever was"
        )
    if left := sum(kind.left for kind in done.kinds):
        yield f"--max was reached: {left:,} letters {'would be left' if dry_run else 'are left; run it again for them'}"
    if done.foreign:
        yield f"{done.foreign:,} records on the topic are no dead letters of ours, and stay"
    if done.fault:
        yield f"it ended early: {done.fault}; run it again: what was sent is not sent twice"


def _source(letter: "Letter") -> str:
    return f"{_plain(letter.source.topic)}[{letter.source.number}]@{letter.offset}"


def _text(value: bytes, chars_max: int) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = value.hex(" ")
    return _plain(text[:chars_max]) + ("…" if len(text) > chars_max else "")


def _plain(text: str) -> str:
    """Escape what is not printable: whoever wrote the record must not move the reader's terminal."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
