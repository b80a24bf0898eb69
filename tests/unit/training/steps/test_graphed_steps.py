"""Steps as a GPU takes them, on a CPU: a stand-in for torch.cuda notes the streams, and a replay does nothing."""

from collections.abc import Iterator
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from stream_scorer.training.steps import graphed_steps
from stream_scorer.training.steps.graphed_steps import EAGER_STEPS, GraphedSteps


class Gpu:
    """What of torch.cuda the steps use: it notes which streams are made, run on and recorded, and each replay."""

    def __init__(self) -> None:
        self.made: list[SimpleNamespace] = []
        self.ran: list[object] = []
        self.recorded: list[object] = []
        self.replays = 0

    def Stream(self) -> SimpleNamespace:  # noqa: N802 - torch's name
        self.made.append(SimpleNamespace(wait_stream=lambda other: None))
        return self.made[-1]

    def current_stream(self) -> SimpleNamespace:
        return SimpleNamespace(wait_stream=lambda other: None)

    def stream(self, stream: object) -> nullcontext[None]:
        self.ran.append(stream)
        return nullcontext()

    def CUDAGraph(self) -> SimpleNamespace:  # noqa: N802 - torch's name
        return SimpleNamespace(replay=self._replay)

    def graph(self, graph: object, stream: object = None) -> nullcontext[None]:
        self.recorded.append(stream)
        return nullcontext()

    def _replay(self) -> None:
        self.replays += 1


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gpu]:
    graphed_steps._aside.cache_clear()
    gpu = Gpu()
    for name in ("Stream", "current_stream", "stream", "CUDAGraph", "graph"):
        monkeypatch.setattr(torch.cuda, name, getattr(gpu, name))
    yield gpu
    graphed_steps._aside.cache_clear()


def take(*lengths: int) -> None:
    steps = GraphedSteps(lambda rows: rows.sum(), rows=8, length_max=4, device=torch.device("cpu"))
    steps._records = True
    for length in lengths:
        steps._place.zero_()  # any number of steps stays within the rows
        steps._take(length)


def test_first_steps_run_before_one_is_recorded(gpu: Gpu) -> None:
    take(*[4] * (EAGER_STEPS + 2))
    assert (len(gpu.ran), len(gpu.recorded), gpu.replays) == (EAGER_STEPS, 1, 2)


def test_each_length_is_recorded_once(gpu: Gpu) -> None:
    take(*[4] * EAGER_STEPS, 4, 3, 4, 3)
    assert (len(gpu.recorded), gpu.replays) == (2, 4)


def test_all_trainings_share_one_stream(gpu: Gpu) -> None:
    for _ in range(2):
        take(*[4] * (EAGER_STEPS + 1))
    assert gpu.ran == gpu.made * (2 * EAGER_STEPS)
    assert gpu.recorded == gpu.made * 2
