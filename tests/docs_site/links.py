"""The links of the site that lead nowhere, by the Markdown of its pages: the generator's own check, without it."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath

from tests.docs_site.site import Site

_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_TARGET = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?)(?: \{#(\S+)\})?$", re.MULTILINE)


def broken(site: Site) -> list[str]:
    """Return a line for each link to a page, file or heading that the site does not have."""
    anchors = {place: set(_anchors(text)) for place, text in site.pages.items()}
    return [
        f"{place}: {target}"
        for place, text in site.pages.items()
        for target in _TARGET.findall(re.sub(r"`[^`\n]*`", "", _FENCED.sub("", text)))
        if not target.startswith(("http:", "https:")) and not _leads_somewhere(place, target, anchors, site)
    ]


def _leads_somewhere(place: str, target: str, anchors: dict[str, set[str]], site: Site) -> bool:
    path, _, anchor = target.partition("#")
    to = os.path.normpath(PurePosixPath(place).parent / path) if path else place
    return to in site.files or (to in anchors and (not anchor or anchor in anchors[to]))


def _anchors(text: str) -> Iterator[str]:
    """Yield the address of each heading: the one that it states, or its words as Python-Markdown writes them."""
    seen: Counter[str] = Counter()
    for heading, stated in _HEADING.findall(_FENCED.sub("", text)):
        words = _slug(heading)
        yield stated or (f"{words}_{seen[words]}" if seen[words] else words)
        seen[words] += not stated


def _slug(heading: str) -> str:
    shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    plain = unicodedata.normalize("NFKD", shown).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())
