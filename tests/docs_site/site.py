"""The pages of the documentation site: where each comes from, and its links as they are on the site.

`python -m tests.docs_site.site FOLDER` writes pages and configuration for the generator; `make docs` then builds them.
The documents themselves are written for the repository: a link leads to a file there, and here to that file's page. A
file that is no page (an image, a schema) is copied to where pages can link to it.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tests.docs_site import reference

ROOT = Path(__file__).parents[2]
# section, then page by title; a page is a document of ours, or made from the code
NAVIGATION: dict[str, dict[str, str]] = {
    "Start": {
        "What it is": "README.md",
        "Tutorial": "docs/tutorial.md",
        "Which tool for which job": "docs/compared.md",
        "What has changed": "CHANGELOG.md",
    },
    "How to": {
        "Run it on Kubernetes": "docs/kubernetes.md",
        "Watch it": "docs/observing.md",
        "Secure brokers and Redis": "docs/secured-brokers.md",
        "Keep labels on S3": "docs/object-stores.md",
        "Keep labels in Iceberg": "docs/iceberg.md",
        "Register models in MLflow": "docs/mlflow.md",
        "Plan its size": "docs/capacity.md",
        "Choose wire formats": "docs/wire-formats.md",
        "Deal with dead letters": "docs/dead-letters.md",
        "Grow partitions, change windows": "docs/changing-the-ring.md",
        "Upgrade": "docs/upgrading.md",
        "Erase a customer": "docs/erasure.md",
        "Use it from Python": "docs/library.md",
        "Use it over HTTP": "docs/http.md",
        "Watch it in a browser": "docs/live-page.md",
        "Contribute": "CONTRIBUTING.md",
    },
    "Reference": {
        "Settings": "reference/settings.md",
        "Commands": "reference/commands.md",
        "Topics and messages": "reference/topics.md",
        "Dead-letter codes": "reference/dead-letter-codes.md",
        "Metrics": "reference/metrics.md",
        "Alerts": "reference/alerts.md",
        "JSON Schemas": "schemas/README.md",
        "Tables": "docs/tables.md",
    },
    "Explanation": {
        "How labels come about": "docs/labels.md",
        "Exactly once, and where it ends": "docs/exactly-once.md",
        "Architecture": "ARCHITECTURE.md",
        "How models are judged": "docs/evaluation.md",
        "An index in front of large catalogs": "docs/approximate-index.md",
        "Two stages": "docs/two-stages.md",
        "What is trusted": "docs/trust.md",
        "Security": "SECURITY.md",
        "H2O parity": "docs/h2o-parity.md",
        "Experiments": "docs/experiments.md",
    },
}
FOLDERS = {"Start": "", "How to": "how-to/", "Reference": "reference/", "Explanation": "explanation/"}
DECISIONS = "docs/adr"
# folders that documents link to, and the page that lists what is in them
LISTED = {DECISIONS: "explanation/decisions.md", "schemas": "reference/topics.md"}
_CODE_TABLE = re.compile(r"(?<=## Codes\n).*?<!-- /codes -->\n", re.DOTALL)
_FENCE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
# in this order, so that code within the text of a link is no further link
_LINK_OR_CODE = re.compile(
    r"(?P<text>!?\[(?:[^\[\]]|\[[^\]]*\])*\]\()(?P<target>[^)\s]+)\)|(?<!`)`(?P<code>[^`\n]+)`(?!`)"
)


@dataclass(frozen=True, slots=True)
class Site:
    """Pages by their place on the site, and the files that they link to, by place, with where each is in the tree."""

    pages: Mapping[str, str]
    files: Mapping[str, str]


def build() -> Site:
    """Return the whole site. Raises FileNotFoundError for a link to what is neither a page nor a file."""
    made = reference.pages()
    files = {"site.css": "docs/site.css"}
    placed, names = places(), reference.places()
    pages = {
        place: _for_site(made.get(source) or _document(source), _Links(source, placed, names, files))
        for source, place in placed.items()
    }
    return Site(pages, files)


def places() -> dict[str, str]:
    """Return where on the site every page is, by its document, or by the place of one that is made from the code."""
    titled = {
        source: FOLDERS[section] + _name(source)
        for section, titles in _sections().items()
        for source in titles.values()
    }
    listing = LISTED[DECISIONS]
    return titled | {listing: listing} | {each: f"explanation/decisions/{_name(each)}" for each in _decisions()}


def navigation() -> list[object]:
    """Return the generator's `nav`."""
    placed = places()
    sections: dict[str, list[object]] = {
        section: [{title: placed[source]} for title, source in titles.items()]
        for section, titles in _sections().items()
    }
    decisions: list[object] = [{"All of them": LISTED[DECISIONS]}, *(placed[each] for each in _decisions())]
    sections["Explanation"].append({"Decisions": decisions})
    return [{section: pages} for section, pages in sections.items()]


def write(site: Site, folder: Path) -> None:
    """Write pages, files and configuration into a folder, in place of what an earlier call left there."""
    shutil.rmtree(folder / "pages", ignore_errors=True)
    for place, text in site.pages.items():
        _made(folder / "pages" / place).write_text(text)
    for place, source in site.files.items():
        shutil.copyfile(ROOT / source, _made(folder / "pages" / place))
    configuration = (ROOT / "docs" / "zensical.toml").read_text()
    (folder / "zensical.toml").write_text(configuration.replace("nav = []", f"nav = {_toml(navigation())}"))


class _Links:
    """The links of one document."""

    def __init__(self, source: str, placed: Mapping[str, str], names: Mapping[str, str], files: dict[str, str]) -> None:
        self._source, self._placed, self._names, self._files = source, placed, names, files

    def on_site(self, match: re.Match[str]) -> str:
        """Return a link as it is on the site, or code as a link to where the name is explained."""
        if match["code"] is None:
            return f"{match['text']}{self._led(match['target'])})"
        place = self._names.get(match["code"]) or self._names.get(" ".join(match["code"].split()[:2]))
        return f"[{match[0]}]({self._from_here(place)})" if place else match[0]

    def _led(self, target: str) -> str:
        if target.startswith(("#", "http:", "https:")):
            return target
        path, hash_sign, anchor = target.partition("#")
        inside = os.path.normpath(PurePosixPath(self._source).parent / path)
        return self._from_here(self._place_of(inside)) + hash_sign + anchor

    def _place_of(self, path: str) -> str:
        path = LISTED.get(path, path)
        if path in self._placed:
            return self._placed[path]
        if not (ROOT / path).is_file():
            raise FileNotFoundError(f"{self._source} links to {path}, which is no file")
        self._files[f"files/{path}"] = path
        return f"files/{path}"

    def _from_here(self, place: str) -> str:
        return os.path.relpath(place, PurePosixPath(self._placed[self._source]).parent)


def _document(source: str) -> str:
    text = (ROOT / source).read_text()
    listed = "\n[Each code has its cause and its cure](../reference/dead-letter-codes.md).\n"
    return _CODE_TABLE.sub(listed, text)


def _for_site(text: str, links: _Links) -> str:
    """Put links right outside of fenced code; names in headings stay bare, since a heading is a link already."""
    parts = _FENCE.split(text)
    parts[::2] = ["\n".join(_line(each, links) for each in part.split("\n")) for part in parts[::2]]
    return "".join(parts)


def _line(line: str, links: _Links) -> str:
    return line if line.startswith("#") else _LINK_OR_CODE.sub(links.on_site, line)


def _name(source: str) -> str:
    path = PurePosixPath(source)
    return f"{path.parent.name or 'index'}.md" if path.name == "README.md" else path.name.lower()


def _sections() -> dict[str, dict[str, str]]:
    """Return NAVIGATION with the documents that are not in it: a new one is on the site before it has a place there."""
    listed = {source for titles in NAVIGATION.values() for source in titles.values()}
    documents = {each: each.relative_to(ROOT).as_posix() for each in sorted((ROOT / "docs").glob("*.md"))}
    new = {_heading(each): source for each, source in documents.items() if source not in listed}
    return {**NAVIGATION, "Explanation": {**NAVIGATION["Explanation"], **new}}


def _heading(document: Path) -> str:
    return document.read_text().split("\n", 1)[0].removeprefix("# ")


def _decisions() -> list[str]:
    return [each.relative_to(ROOT).as_posix() for each in sorted((ROOT / DECISIONS).glob("*.md"))]


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(key)} = {_toml(each)}' for key, each in value.items())}}}"
    return f"[{', '.join(map(_toml, value))}]" if isinstance(value, list) else json.dumps(value)


if __name__ == "__main__":
    write(build(), _made(Path(sys.argv[1]) / "zensical.toml").parent)
