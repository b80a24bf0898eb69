"""What the pages of the reference are made of."""

import re
from collections.abc import Iterable, Iterator

from stream_scorer.settings_shown import setting_names

_SETTING = re.compile(rf"(?<![`\w.])(?:{'|'.join(map(re.escape, setting_names()))})(?![`\w])")


def text_of(blocks: Iterable[str]) -> str:
    """Join paragraphs to a page."""
    return "\n\n".join(blocks) + "\n"


def entry(level: int, name: str, meaning: str, *facts: str) -> Iterator[str]:
    """Yield a heading that has its name as its address, the meaning below it, and a line of facts."""
    yield f"{'#' * level} `{name}` {{#{name}}}"
    if meaning:
        yield linked(meaning)
    if facts:
        yield " · ".join(facts)


def jobs(names: Iterable[str]) -> str:
    """Return links to commands, each once."""
    return ", ".join(f"[{each}](commands.md#{each})" for each in dict.fromkeys(names))


def linked(text: str) -> str:
    """Set the names of settings as code, which the site links, and link the documents that a text names."""
    with_code = _SETTING.sub(r"`\g<0>`", text.strip())
    return re.sub(r"(?<![\w/])docs/[\w-]+\.md", r"[\g<0>](../\g<0>)", with_code)


def listed(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a list of names and what they mean."""
    return "\n".join(f"- {name}: {meaning}" for name, meaning in pairs)
