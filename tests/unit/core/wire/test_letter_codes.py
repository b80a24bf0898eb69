"""The list of codes is what the source can give, and the page shows it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import stream_scorer
from stream_scorer.cli import COMMANDS
from stream_scorer.core.verifying.refusals import KNOWN, UNREADABLE
from stream_scorer.core.wire.codec import _CODES
from stream_scorer.core.wire.letter_codes import CODES, code_table

PACKAGE = Path(stream_scorer.__file__).parent
PAGE = PACKAGE.parent / "docs" / "dead-letters.md"
PLACE_OF_CODE = {"Refusal": 0, "Reason": 0, "DeadLetter": 1, "refuse": 2, "setdefault": 1}
"""At which place the calls that refuse a record name the code; `setdefault` gives a pair of code and sentence."""


def codes_in(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Call) and len(node.args) > (place := PLACE_OF_CODE.get(name_of(node.func), 99)):
            yield from first_text(node.args[place])
        elif isinstance(node, ast.FunctionDef) and node.name in {"half_labelled", "_code"}:
            for each in ast.walk(node):
                if isinstance(each, ast.Return):
                    yield from texts(each.value)


def name_of(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def first_text(node: ast.expr) -> Iterator[str]:
    inner = node.elts[0] if isinstance(node, ast.Tuple) and node.elts else node
    if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
        yield inner.value


def texts(node: ast.expr | None) -> Iterator[str]:
    if isinstance(node, ast.IfExp):
        yield from (*texts(node.body), *texts(node.orelse))
    elif isinstance(node, ast.Call):
        yield from texts(node.args[-1])
    elif node is not None:
        yield from first_text(node)


def test_every_code_of_the_source_is_listed() -> None:
    rooms = ("core", "services/streaming", "adapters/schema_registry")
    modules = [module for room in rooms for module in (PACKAGE / room).rglob("*.py")]
    given = {code for module in modules for code in codes_in(module)} | set(_CODES.values())
    assert given == set(CODES)


def test_only_readers_call_records_unreadable() -> None:
    """`verify` takes a readable record with such a dead letter for a fault."""
    later = [module for module in (PACKAGE / "core").rglob("*.py") if not {"wire", "forms"} & set(module.parts)]
    given = {code for module in later for code in codes_in(module)}
    assert UNREADABLE & given == {"bad_ranking"}  # the join reads rankings by itself
    assert set(_CODES.values()) <= KNOWN


def test_every_code_names_jobs_and_cure() -> None:
    for name, code in CODES.items():
        assert re.fullmatch("[a-z0-9]+(_[a-z0-9]+)*", name)
        assert set(code.jobs) <= set(COMMANDS)
        assert code.cause.endswith(".")
        assert code.cure.endswith(".")


def test_the_page_shows_the_list() -> None:
    shown = PAGE.read_text().split("<!-- codes -->\n")[1].split("<!-- /codes -->")[0]
    assert shown == code_table(), "put what stream_scorer.core.wire.letter_codes.code_table() returns there"
