"""Who does the job, written how, and what an environment for it needs."""

from dataclasses import dataclass
from typing import Literal

from stream_scorer.settings import Delivery

Guarantee = Delivery | Literal["at_most_once"]


@dataclass(frozen=True, slots=True)
class RivalProgram:
    """A program of `loops/` in an environment of its own; without `requires` it runs in ours.

    `delivery` is what it guarantees as it is written there: a record that is read may be lost, doubled, or neither.
    """

    name: str
    loop: str
    delivery: Guarantee
    requires: tuple[str, ...] = ()


QUIX = ("quixstreams==3.28.1", "numpy==2.4.6")
RIVALS = (
    RivalProgram("a tutorial's loop", "tutorial.py", "at_most_once"),
    RivalProgram("Quix Streams 3.28.1", "quix.py", "exactly_once", QUIX),
    RivalProgram("Quix Streams 3.28.1", "quix.py", "at_least_once", QUIX),
    RivalProgram(
        "FastStream 0.7.8, batches",
        "faststream_batches.py",
        "at_least_once",
        ("faststream[confluent]==0.7.8", "numpy==2.4.6"),
    ),
    RivalProgram(
        "Bytewax 0.21.1, batches",
        "bytewax_batches.py",
        "at_most_once",
        ("bytewax[kafka]==0.21.1", "numpy==2.4.6"),
    ),
)
