"""Who may import whom, and what may be met where, read from the source."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "stream_scorer"
MODULES = sorted(ROOT.rglob("*.py"))

MAY_IMPORT = {
    "core": {"errors"},
    "ports": {"core", "errors"},
    "training": {"core", "errors"},
    "adapters": {"ports", "core", "errors"},
    "simulation": {"core", "errors"},
    "services": {"ports", "training", "core", "errors"},
}
PURE = {"lz4", "numpy", "pydantic", "pydantic_core", "msgspec", "xxhash"}
IMPURE = {
    "asyncio",
    "io",
    "logging",
    "multiprocessing",
    "os",
    "pathlib",
    "random",
    "secrets",
    "shutil",
    "signal",
    "socket",
} | {
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "uuid",
}
OUTSIDE = {"now", "today", "utcnow", "argv", "stdin", "stdout", "stderr"}  # of modules that are pure otherwise
FOUND_IN = {
    "confluent_kafka": {"adapters", "bench"},
    "redis": {"adapters"},
    "torch": {"training", "bench"},
    "pyarrow": {"adapters", "bench"},
    "mlflow": {"adapters"},
    "pyiceberg": {"adapters"},
    "matplotlib": {"adapters"},
    "faiss": {"adapters"},
    "opentelemetry": {"adapters"},
    "h2o": {"training"},
    "fastapi": {"http_door", "live_page"},
    "starlette": {"http_door", "live_page"},
    "uvicorn": {"adapters", "http_door", "live_page"},
}
WORDS = {"utils", "helpers", "common", "manager", "base", "misc"}


def imports_of(module: Path) -> Iterator[str]:
    """Yield the full name of everything a module imports, wherever in it."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            yield from (f"{node.module}.{each.name}" for each in node.names)


def layer_of(module: Path) -> str:
    return module.relative_to(ROOT).parts[0].removesuffix(".py")


def name_of(module: Path) -> str:
    return str(module.relative_to(ROOT))


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_modules_import_only_layers_below(module: Path) -> None:
    layer = layer_of(module)
    if layer not in MAY_IMPORT:
        return
    ours = {each.split(".")[1] for each in imports_of(module) if each.startswith("stream_scorer.")}
    assert ours <= MAY_IMPORT[layer] | {layer}


@pytest.mark.parametrize("module", [each for each in MODULES if layer_of(each) == "core"], ids=name_of)
def test_core_does_no_io_time_or_chance(module: Path) -> None:
    for each in imports_of(module):
        top = each.split(".")[0]
        assert top not in IMPURE, each
        assert top in PURE | {"stream_scorer"} | sys.stdlib_module_names, each
        assert not each.startswith("numpy.random"), each


@pytest.mark.parametrize("module", [each for each in MODULES if layer_of(each) == "core"], ids=name_of)
def test_the_core_asks_neither_clock_nor_terminal(module: Path) -> None:
    asked = {node.attr for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Attribute)}
    assert not OUTSIDE & asked


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_outside_packages_stay_in_their_folders(module: Path) -> None:
    for each in imports_of(module):
        allowed = FOUND_IN.get(each.split(".")[0])
        assert allowed is None or layer_of(module) in allowed, each


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_file_names_say_what_is_inside(module: Path) -> None:
    assert not WORDS & set(module.stem.split("_"))
