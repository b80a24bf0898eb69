"""The workers of `serve`: our commands as processes that end when we do, with health pages on the loopback address."""

import http.client
import os
import time
from collections.abc import Callable, Mapping, Sequence

from stream_scorer.adapters.local.free_port import free_ports
from stream_scorer.adapters.local.own_command import python_command
from stream_scorer.adapters.local.own_process import OwnProcess

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

    def start(self, name: str) -> OwnProcess:
        """Start a worker, on a port on which nobody listened a moment ago.

        Where another process takes the port meanwhile, the worker fails, and its supervisor starts it again.
        """
        port = free_ports(1)[0] if self._pages else 0
        command = python_command("stream_scorer", *self._words(name), "--parent", str(os.getpid()))
        environment = {**os.environ, **self._variables(name, _LOOPBACK, port)}
        self._ports[name], self._started_s[name] = port, time.monotonic()
        return OwnProcess(command, environment=environment)

    def ask(self, name: str, path: str) -> tuple[int, str] | None:
        """See Workers. Pages are served before all workers are started: one that is not does not answer."""
        if (port := self._ports.get(name)) is None:
            return None
        asking = http.client.HTTPConnection(_LOOPBACK, port, timeout=ANSWER_S)
        try:
            asking.request("GET", path)
            answer = asking.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            asking.close()

    def age_s(self, name: str) -> float:
        """See Workers; 0 for one that is not started yet."""
        now_s = time.monotonic()
        return now_s - self._started_s.get(name, now_s)
