"""Workers of `serve`: commands of ours as processes that end when we do, with pages of their own on loopback."""

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from stream_scorer.adapters.local.free_port import free_ports

ANSWER_S = 2.0
_LOOPBACK = "127.0.0.1"


class WorkerProcesses:
    """Starts workers by name. `variables` gives, by name and port of the pages, what a worker's settings differ by."""

    def __init__(
        self,
        words: Callable[[str], Sequence[str]],
        variables: Callable[[str, str, int], Mapping[str, str]],
        *,
        pages: bool,
    ) -> None:
        """Keep what each start needs; without `pages` no worker listens."""
        self._words, self._variables, self._pages = words, variables, pages
        self._ports: dict[str, int] = {}
        self._started_s: dict[str, float] = {}

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """Start a worker, on a port nobody listened on a moment ago.

        Another that takes it fails the worker, which starts again.
        """
        port = free_ports(1)[0] if self._pages else 0
        command = [sys.executable, "-m", "stream_scorer", *self._words(name), "--parent", str(os.getpid())]
        environment = {**os.environ, **self._variables(name, _LOOPBACK, port)}
        self._ports[name], self._started_s[name] = port, time.monotonic()
        # a session of its own: Ctrl-C reaches us alone, and we pass it on once
        return subprocess.Popen(command, env=environment, start_new_session=True)

    def ask(self, name: str, path: str) -> tuple[int, str] | None:
        """See Workers."""
        asking = http.client.HTTPConnection(_LOOPBACK, self._ports[name], timeout=ANSWER_S)
        try:
            asking.request("GET", path)
            answer = asking.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            asking.close()

    def age_s(self, name: str) -> float:
        """See Workers."""
        return time.monotonic() - self._started_s[name]
