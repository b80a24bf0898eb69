"""Progress of long work, on stderr: a bar where somebody watches, else a line now and then."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from stream_scorer.adapters.local.clock import SystemClock

_LINE_EVERY_S = 10.0


@contextmanager
def progress_of(what: str, share: Callable[[], float]) -> Iterator[Callable[[int], None]]:
    """Yield a function to call with the count so far; `share` returns how much of the whole is done, 0 to 1."""
    if not sys.stderr.isatty():
        yield _lines(what)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[count]:,}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=1.0, count=0)
        yield lambda count: bar.update(task, completed=share(), count=count)


@contextmanager
def progress_over(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function to call with the count so far and the count in all."""
    share = 0.0
    with progress_of(what, lambda: share) as say:

        def note(done: int, total: int) -> None:
            nonlocal share
            share = done / max(total, 1)
            say(done)

        yield note


def _lines(what: str) -> Callable[[int], None]:
    clock = SystemClock()
    printed_s = clock.monotonic_s()

    def say(count: int) -> None:
        nonlocal printed_s
        if clock.monotonic_s() - printed_s >= _LINE_EVERY_S:
            printed_s = clock.monotonic_s()
            print(f"{what} {count:,}", file=sys.stderr)

    return say
