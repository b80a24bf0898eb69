"""What the documents say of commands, targets and versions is so."""

import re
from pathlib import Path

import stream_scorer
from stream_scorer.cli import COMMANDS

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "ARCHITECTURE.md",
    ROOT / "docker-compose.yml",
    *sorted((ROOT / "docs").rglob("*.md")),
]


def test_every_command_a_document_names_exists() -> None:
    named = {
        name
        for each in DOCUMENTS
        for name in re.findall(r"(?:`|^|[$] )stream-scorer ([a-z][a-z0-9-]*)", each.read_text(), re.MULTILINE)
    }
    assert named <= set(COMMANDS)


def test_the_readme_names_every_command() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [each for each in COMMANDS if f"`{each}`" not in readme and f"stream-scorer {each}" not in readme] == []


def test_every_target_a_document_names_exists() -> None:
    targets = set(re.findall(r"^([a-z][a-z0-9]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        name
        for each in DOCUMENTS
        for name in re.findall(r"(?:`|^|[$] )make ([a-z][a-z0-9]*)", each.read_text(), re.MULTILINE)
    }
    assert named <= targets


def test_the_changelog_has_this_version() -> None:
    assert f"## [{stream_scorer.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_every_command_has_its_module() -> None:
    folder = ROOT / "stream_scorer" / "cli"
    missing = [each for each in COMMANDS if not (folder / f"{each.replace('-', '_')}.py").is_file()]
    assert missing == []


def test_every_path_a_document_names_exists() -> None:
    named = {
        path
        for each in DOCUMENTS
        for path in re.findall(
            r"`((?:core|adapters|services|training|cli|bench|tests|docs|deploy)/[\w./-]+?)(?::[\w.]+)?`",
            each.read_text(),
        )
    }
    assert {
        path for path in named if not any((folder / path).exists() for folder in (ROOT, ROOT / "stream_scorer"))
    } == set()


def test_each_decision_has_its_own_number() -> None:
    pages = sorted((ROOT / "docs/adr").glob("*.md"))
    numbers = [page.name[:4] for page in pages]
    assert sorted(set(numbers)) == numbers
    assert [page.name for page in pages if not page.read_text().startswith(f"# {page.name[:4]}: ")] == []
