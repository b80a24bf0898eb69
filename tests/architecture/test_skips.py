"""Which tests may be skipped."""

import ast
from pathlib import Path

TESTS = Path(__file__).parents[1]
WHOLE = {"importorskip", "allow_module_level"}  # a module that is skipped whole never reaches the count of --no-skips


def test_no_module_is_skipped_whole() -> None:
    names = [
        (module.name, name)
        for module in TESTS.rglob("*.py")
        for node in ast.walk(ast.parse(module.read_text()))
        if (name := getattr(node, "attr", None) or getattr(node, "arg", None)) in WHOLE
    ]
    assert names == []
