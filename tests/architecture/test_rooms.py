"""Rooms of the package: how large they may grow, which may import which, and the picture of it."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

from tests.architecture.rooms import DOCUMENT, PACKAGE, PICTURE, arrows, draw

MODULES_MAX = 12
CORE = {  # what a room of the core may import; what stands on the core is held to layers by test_layers.py
    "core": set[str](),
    "core/wire": {"core"},
    "core/forms": {"core", "core/wire", "errors"},
    "core/features": {"errors"},
    "core/towers": {"core/features", "errors"},
    "core/reranking": {"core/features", "core/towers", "errors"},
    "core/releases": {"core", "core/features", "core/towers", "core/wire", "errors"},
    "core/ranking": {"core", "core/features", "core/releases", "core/towers", "core/wire"},
    "core/joining": {"core", "core/wire"},
    "core/buffer": {"core"},
    "core/datasets": {"core", "core/features", "errors"},
    "core/verifying": {"core", "core/features", "core/joining", "core/releases", "core/towers", "core/wire"},
    "core/evaluation": {
        "core",
        "core/datasets",
        "core/features",
        "core/held_out",
        "core/towers",
        "core/verifying",
        "errors",
    },
    "core/held_out": {"core/datasets", "core/features"},
    "core/two_stages": {
        "core/datasets",
        "core/evaluation",
        "core/features",
        "core/held_out",
        "core/towers",
        "errors",
    },
    "core/inspecting": {
        "core",
        "core/datasets",
        "core/evaluation",
        "core/features",
        "core/held_out",
        "core/releases",
        "core/towers",
    },
}
FOLDERS = [
    PACKAGE,
    *sorted(each for each in PACKAGE.rglob("*") if each.is_dir() and each.name not in {"cli", "__pycache__"}),
]


def test_every_room_of_the_core_is_listed() -> None:
    assert {room for room in arrows() if room.split("/")[0] == "core"} == set(CORE)


@pytest.mark.parametrize("room", CORE)
def test_core_rooms_import_only_what_they_may(room: str) -> None:
    assert arrows()[room] <= CORE[room]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_rooms_have_at_most_dozen_modules(folder: Path) -> None:
    assert len([each for each in folder.glob("*.py") if each.stem not in {"__init__", "__main__"}]) <= MODULES_MAX


def test_picture_shows_arrows_without_circles() -> None:
    picture = PICTURE.search(DOCUMENT.read_text())
    assert picture is not None
    assert picture[0] == draw(arrows()), "run `make rooms`"


def test_a_class_name_has_one_meaning() -> None:
    modules = defaultdict(list)
    for module in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.ClassDef):
                modules[node.name.lstrip("_")].append(str(module.relative_to(PACKAGE)))
    assert {name: places for name, places in modules.items() if len(places) > 1} == {}
