"""The rooms of the package (its folders, and the modules at its root), and which imports which, read from the source.

`python -m tests.architecture.rooms` draws them; `make rooms` puts the picture into ARCHITECTURE.md.
"""

import ast
import graphlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "stream_scorer"
DOCUMENT = PACKAGE.parent / "ARCHITECTURE.md"
PICTURE = re.compile(r"(?<=<!-- rooms -->\n```\n).*?(?=```\n<!-- /rooms -->)", re.DOTALL)
# rooms of one height stand in this order, so that the picture reads from the core to the commands
ORDER = [
    "errors",
    "core",
    "ports",
    "simulation",
    "training",
    "adapters",
    "services",
    "wiring",
    "client",
    "http_door",
    "live_page",
    "bench",
    "demo",
    "cli",
]


def room_of(module: Path) -> str:
    """Return the folder that a module lies in; a module at the package's root is a room by itself."""
    folder = module.relative_to(PACKAGE).parent.as_posix()
    return module.stem if folder == "." else folder


def arrows() -> dict[str, set[str]]:
    """Return, for every room, the other rooms that its modules import, at the top or inside functions."""
    rooms: dict[str, set[str]] = {}
    for module in sorted(PACKAGE.rglob("*.py")):
        if module.stem not in {"__init__", "__main__"} or room_of(module) == "cli":
            rooms.setdefault(room_of(module), set()).update(_imported_rooms(module))
    return {room: imported - {room} for room, imported in rooms.items()}


def draw(imported: Mapping[str, set[str]]) -> str:
    """Draw a line for each room, marking what it imports; without a circle nothing stands right of the diagonal."""
    rooms = _from_below(imported)
    width = max(map(len, rooms)) + 4
    numbers = [f"{number:>2}" for number in range(1, len(rooms) + 1)]
    lines = [" " * width + " ".join(digits).rstrip() for digits in zip(*numbers, strict=True)]
    for number, room in zip(numbers, rooms, strict=True):
        cells = ("■" if each == room else "x" if each in imported[room] else "·" for each in rooms)
        lines.append(f"{number} {room}".ljust(width) + " ".join(cells))
    return "\n".join(lines) + "\n"


def _imported_rooms(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "stream_scorer":
            for each in node.names:
                yield from _room_named([*(node.module or "").split(".")[1:], each.name])


def _room_named(parts: list[str]) -> Iterator[str]:
    """Yield the room of the longest part of a dotted name that is a module or a folder; the package itself is none."""
    for length in range(len(parts), 0, -1):
        path = PACKAGE.joinpath(*parts[:length])
        if path.with_suffix(".py").is_file():
            yield room_of(path.with_suffix(".py"))
            return
        if path.is_dir():
            yield "/".join(parts[:length])
            return


def _from_below(imported: Mapping[str, set[str]]) -> list[str]:
    """Order rooms so that each stands behind all that it imports. Raises graphlib.CycleError for a circle."""
    sorter = graphlib.TopologicalSorter(imported)
    sorter.prepare()
    ready: set[str] = set()
    rooms: list[str] = []
    while sorter.is_active():
        ready |= set(sorter.get_ready())
        rooms.append(min(ready, key=_place))
        ready.remove(rooms[-1])
        sorter.done(rooms[-1])
    return rooms


def _place(room: str) -> tuple[int, str]:
    top = room.split("/", maxsplit=1)[0]
    return (ORDER.index(top) if top in ORDER else ORDER.index("ports"), room)


if __name__ == "__main__":
    DOCUMENT.write_text(PICTURE.sub(lambda _: draw(arrows()), DOCUMENT.read_text()))
