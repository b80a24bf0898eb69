"""What unit tests share."""

import logging
import sys
import threading
from collections.abc import Iterator

import pytest


@pytest.fixture
def own_logging() -> Iterator[None]:
    """Let a test set up the log of this process, and put it back."""
    hooks, handlers = (sys.excepthook, threading.excepthook), logging.getLogger().handlers[:]
    level = logging.getLogger().level
    yield
    sys.excepthook, threading.excepthook = hooks
    logging.captureWarnings(False)
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)
