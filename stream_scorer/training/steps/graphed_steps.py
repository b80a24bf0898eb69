"""Steps of training on a GPU, recorded once as a CUDA graph and replayed.

A step of two small towers is about a hundred kernels of a few microseconds: launching them one by one takes the host
ten times as long as the GPU needs to run them. A replay launches them all at once.
"""

from collections.abc import Callable, Iterable
from functools import cache

import numpy as np
import torch
from torch import Tensor

from stream_scorer.core.datasets.training_set import Ints32, Places

# Steps that are taken one kernel at a time before one is recorded: libraries allocate their workspaces in them, and
# Adam its moments. They are steps of the training like all others.
EAGER_STEPS = 3


class GraphedSteps:
    """Takes steps over an epoch's rows, in parts of few different lengths; each length has a graph of its own.

    A graph repeats the same kernels on the same memory. So everything that changes from step to step lies on the device
    and is moved on by the step itself: the place in the epoch's order, the learning rate, and the state of the random
    numbers, which torch moves on.
    """

    def __init__(self, step: Callable[[Tensor], Tensor], *, rows: int, length_max: int, device: torch.device) -> None:
        """Take `step`, from rows (B,) to their mean loss, for epochs of `rows` rows in parts of at most `length_max`.

        The step must not need the host: no shape in it may depend on what the rows hold.
        """
        self._step = step
        self._order = torch.zeros(rows, dtype=torch.int64, device=device)
        self._offsets = torch.arange(length_max, device=device)
        self._place = torch.zeros((), dtype=torch.int64, device=device)
        self._total = torch.zeros((), dtype=torch.float64, device=device)
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}
        self._taken = 0
        self._records = device.type != "cpu"  # tests take the same steps on a CPU

    def epoch(self, parts: Iterable[Places | Ints32]) -> float:
        """Take a step over each part of an epoch's rows, and return their mean loss; only here does the host wait."""
        parts = list(parts)
        self._order.copy_(torch.from_numpy(np.concatenate(parts)))
        self._place.zero_()
        self._total.zero_()
        for part in parts:
            self._take(len(part))
        return float(self._total) / len(self._order)

    def _take(self, length: int) -> None:
        self._taken += 1
        if not self._records:
            self._run(length)
        elif self._taken <= EAGER_STEPS:
            self._run_aside(length)
        else:
            self._replay(length)

    def _replay(self, length: int) -> None:
        if length not in self._graphs:
            self._graphs[length] = self._recorded(length)
        self._graphs[length].replay()

    def _run_aside(self, length: int) -> None:
        # Where they are recorded later: what libraries set up at a first step belongs to the stream of that step.
        here, aside = torch.cuda.current_stream(), _aside()
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            self._run(length)
        here.wait_stream(aside)

    def _recorded(self, length: int) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=_aside()):  # records, and runs nothing
            self._run(length)
        return graph

    def _run(self, length: int) -> None:
        loss = self._step(self._order[self._place + self._offsets[:length]])
        self._total += loss.double() * length
        self._place += length


@cache
def _aside() -> torch.cuda.Stream:
    """Return the stream of the steps of all trainings; the default stream cannot be recorded.

    Torch keeps workspaces for each stream on which matrices were multiplied, 65 MiB on an H200. With streams of their
    own, the trainings of a search would fill the GPU with them.
    """
    return torch.cuda.Stream()  # type: ignore[no-untyped-call]
