"""Cautions about times that look like seconds: read as milliseconds, they lie in January or February 1970."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from stream_scorer.adapters.tables.places import caution
from stream_scorer.core.messages import SECONDS_FROM, SECONDS_TO


class SecondsCheck:
    """Cautions, once for a column of a file, that its times look like seconds."""

    def __init__(self, file: Path, column: str) -> None:
        """Begin with no caution given."""
        self._file, self._column, self._is_said = file, column, False

    def look(self, time_ms: int | None) -> None:
        """Check a time; None is no time."""
        if time_ms is not None and SECONDS_FROM <= time_ms <= SECONDS_TO and not self._is_said:
            self._is_said = True
            caution(
                f"{self._file}: {self._column} looks like seconds ({time_ms}), but is read as "
                "milliseconds: multiply by 1000"
            )

    def look_at(self, times_ms: npt.NDArray[np.int64]) -> None:
        """Check many times at once, without a loop over them."""
        seconds = (times_ms >= SECONDS_FROM) & (times_ms <= SECONDS_TO)
        if seconds.any():
            self.look(int(times_ms[seconds.argmax()]))
