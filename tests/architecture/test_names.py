"""How tests are named."""

import ast
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_names_have_seven_words_at_most() -> None:
    names = [
        node.name.removeprefix("test_")
        for module in TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    assert names
    assert [name for name in names if len(name.split("_")) > 7] == []
