"""What held-out judging says, in lines: how it was asked, and the model beside rankings that cost nothing."""

from collections.abc import Iterator, Mapping
from typing import Any

from stream_scorer.core.held_out.beside import Z95


def asked_line(judged: Mapping[str, Any]) -> str:
    """Say how many requests were judged, how often customers accept again, and what follows from that."""
    asked, drawn_from = judged["questions"], judged["drawn_from"]
    many = f"{asked:,} requests" if asked == drawn_from else f"{asked:,} requests, a sample of {drawn_from:,}"
    follows = (
        "each request is judged apart, and offers accepted before are ranked"
        if judged["known_ranked"]
        else "those are not judged, and offers accepted before are not ranked"
    )
    repeats = f"{judged['repeats']:.0%} of {judged['acceptances']:,} acceptances repeat an earlier one"
    return f"{many}; {repeats}: {follows}"


def beside_lines(judged: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each group: the model's figure, and those of the trivial rankings, the best first."""
    for group, found in judged["beside"].items():
        others = sorted(found["trivial"], key=lambda one: -one["value"])
        beside = ", ".join(f"{one['name']} {one['value']:.4f}" for one in others)
        figure = f"{found['model']:.4f} ± {Z95 * found['standard_error']:.4f}"
        yield f"{found['figure']}, {group.replace('_', ' ')} ({found['customers']:,} customers): {figure}; {beside}"
