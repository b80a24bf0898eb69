"""`stream-scorer dead-letters`."""

import re
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from stream_scorer.cli.options import Json, one_of, settings_of

if TYPE_CHECKING:
    from stream_scorer.core.records import Partition
    from stream_scorer.services.letters.resending import Resent
    from stream_scorer.services.letters.survey import LetterChoice
    from stream_scorer.settings import Settings

INTERRUPTED = 130
_PLACE = re.compile(r"(?:(.+)\[([0-9]{1,9})\]|([0-9]{1,9}))@([0-9]{1,18})")

dead_letters = typer.Typer(
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="List, show and send again the records that could not be processed; docs/dead-letters.md has every code.",
)

Codes = Annotated[
    list[str] | None, typer.Option("--code", show_default=False, help="Only letters with this code; may be repeated.")
]
Topics = Annotated[
    list[str] | None,
    typer.Option("--topic", show_default=False, help="Only letters about records of this topic; may be repeated."),
]
Since = Annotated[
    str | None,
    typer.Option(
        show_default=False, help="Only letters written since: so long ago (90m, 24h, 3d) or a time of ISO 8601."
    ),
]


@dead_letters.command("list")
def list_letters(
    ctx: typer.Context,
    *,
    code: Codes = None,
    topic: Topics = None,
    since: Since = None,
    until: Annotated[
        str | None, typer.Option(show_default=False, help="Only letters written before; see --since.")
    ] = None,
    newest: Annotated[int, typer.Option(min=0, max=1_000, help="How many of the newest letters to show.")] = 10,
    read_max: Annotated[
        int, typer.Option(min=1, help="How many letters to read at most, from the newest back.")
    ] = 200_000,
    as_json: Json = False,
) -> None:
    """Count letters by code and source topic, and show the newest."""
    import json
    from contextlib import closing

    from stream_scorer.cli.letter_lines import survey_json, survey_lines, survey_remarks
    from stream_scorer.cli.progress import progress_over
    from stream_scorer.services.letters.survey import survey
    from stream_scorer.wiring.brokers import log_reader

    settings = settings_of(ctx)
    choice = _choice(settings, code, topic, since, until)
    letters = settings.topics.dead_letters
    with closing(log_reader(settings, settings.dead_letters.group)) as reader, progress_over(letters) as progress:
        seen = survey(reader, letters, choice, read_max=read_max, newest_max=newest, progress=progress)
    if as_json:
        print(json.dumps(survey_json(seen), indent=2))
        return
    _print(survey_lines(seen, letters), survey_remarks(seen))


@dead_letters.command("show")
def show_letter(
    ctx: typer.Context,
    place: Annotated[str, typer.Argument(help="Where the letter lies, as `list` prints it: 3@17.")],
    *,
    chars: Annotated[int, typer.Option(min=1, help="How much of the value to show.")] = 2_000,
    raw: Annotated[bool, typer.Option("--raw", help="Write the value alone, as it is, to stdout.")] = False,
) -> None:
    """Show a letter: reason, cause and cure, source, headers, key and the head of its value.

    A letter holds what its record held, customers' data included.
    """
    from contextlib import closing

    from stream_scorer.cli.letter_lines import letter_lines
    from stream_scorer.services.letters.survey import letter_at
    from stream_scorer.wiring.brokers import log_reader

    settings = settings_of(ctx)
    partition, offset = _placed(place, settings.topics.dead_letters)
    with closing(log_reader(settings, settings.dead_letters.group)) as reader:
        letter = letter_at(reader, partition, offset)
    if raw:
        sys.stdout.buffer.write(letter.record.value or b"")
        return
    _print(letter_lines(letter, chars), ())


@dead_letters.command("resend")
def resend_letters(
    ctx: typer.Context,
    *,
    code: Codes = None,
    topic: Topics = None,
    since: Annotated[
        str | None,
        typer.Option(
            show_default=False, help="Pass over letters written before, for good: see `list --since` for its form."
        ),
    ] = None,
    letters_max: Annotated[int, typer.Option("--max", min=1, max=1_000_000, help="Send so many at most.")] = 1_000,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, and send nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Send the records of letters again, after what caused them is mended: exactly once, with a new attempt number.

    A second resend does not send them again. Exit 1 when it ended early.
    """
    import json

    from stream_scorer.adapters.local.stopping import stop_signals
    from stream_scorer.cli.letter_lines import resent_json, resent_lines, resent_remarks
    from stream_scorer.errors import UsageError

    settings = settings_of(ctx)
    if not code and not topic:
        raise UsageError("name what to send again by --code or --topic; `stream-scorer dead-letters list` counts both")
    choice, stopping = _choice(settings, code, topic, since, None), stop_signals()
    done = _resend(settings, choice, letters_max, dry_run=dry_run, stopping=stopping)
    lines = [json.dumps(resent_json(done, dry_run=dry_run))] if as_json else resent_lines(done, dry_run=dry_run)
    _print(lines, resent_remarks(done, dry_run=dry_run))
    if stopping():
        raise typer.Exit(INTERRUPTED)
    if done.fault:
        raise typer.Exit(1)


def _resend(
    settings: "Settings", choice: "LetterChoice", letters_max: int, *, dry_run: bool, stopping: Callable[[], bool]
) -> "Resent":
    from contextlib import closing

    from stream_scorer.cli.progress import progress_over
    from stream_scorer.services.letters.resending import resend
    from stream_scorer.wiring.brokers import log_reader
    from stream_scorer.wiring.letters import resend_door, resend_rules

    rules = resend_rules(settings, letters_max)
    with closing(log_reader(settings, settings.dead_letters.group)) as reader, progress_over("letters") as progress:
        return resend(
            reader,
            lambda kind: resend_door(settings, kind, dry_run=dry_run),
            choice,
            rules,
            progress=progress,
            stopping=stopping,
        )


def _choice(
    settings: "Settings", codes: list[str] | None, topics: list[str] | None, since: str | None, until: str | None
) -> "LetterChoice":
    """Return which letters are meant. Raises UsageError for a code, topic or time that cannot be."""
    from stream_scorer.adapters.local.clock import SystemClock
    from stream_scorer.cli.times import time_of
    from stream_scorer.core.wire.letter_codes import CODES
    from stream_scorer.services.letters.survey import LetterChoice

    now_ms, own = SystemClock().now_ms(), [name for name, _ in settings.topics.each()]
    return LetterChoice(
        frozenset(one_of("code", each, sorted(CODES)) for each in codes or ()),
        frozenset(one_of("topic", each, own) for each in topics or ()),
        time_of("--since", since, now_ms),
        time_of("--until", until, now_ms),
    )


def _placed(text: str, topic: str) -> "tuple[Partition, int]":
    """Read "3@17", or "dead-letters[3]@17". Raises UsageError for anything else."""
    from stream_scorer.core.records import Partition
    from stream_scorer.errors import UsageError

    place = _PLACE.fullmatch(text)
    if place is None:
        raise UsageError(f"a letter's place is partition@offset, such as 3@17, got {text[:60]!r}")
    if place[1] not in {None, topic}:
        raise UsageError(f"dead letters are on {topic}, got {place[1]!r}; topics.dead_letters names another")
    return Partition(topic, int(place[2] or place[3])), int(place[4])


def _print(lines: Iterable[str], remarks: Iterable[str]) -> None:
    for line in lines:
        print(line)
    for remark in remarks:
        print(remark, file=sys.stderr)
