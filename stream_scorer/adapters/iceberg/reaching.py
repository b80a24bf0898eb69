"""Calls to a catalog, each with a bound, and the errors of its client as ours.

Clients of catalogs have bounds of their own, or none: pyiceberg's REST client waits for ever on a server that accepts
a connection and says nothing. So every call runs in a thread, which is given up when its time is over. What was given
up may still happen later. That is safe for commits, since each of ours states the snapshot that it follows: one that
comes late follows a snapshot that is no longer the newest, and is refused.
"""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread
from typing import TypeVar

import pyarrow as pa
from pyiceberg import exceptions as iceberg

from stream_scorer.errors import TransientError, UsageError

CATALOG_TIMEOUT_S = 60.0
TABLE_TIMEOUT_S = 3_600.0  # of what reads all rows, or rewrites files
ResultT = TypeVar("ResultT")
_REFUSED = (
    iceberg.UnauthorizedError,
    iceberg.ForbiddenError,
    iceberg.BadRequestError,
    iceberg.OAuthError,
    iceberg.NoSuchTableError,
    iceberg.NoSuchNamespaceError,
    iceberg.NotInstalledError,
    iceberg.ValidationError,
    ModuleNotFoundError,
    PermissionError,
    pa.ArrowException,
    ValueError,
)
_TROUBLE = (iceberg.RESTError, iceberg.CommitFailedException, iceberg.WaitingForLockException, OSError)
# roots of the errors of those clients that a catalog may have brought along
_OF_CLIENTS = {
    "sqlalchemy.exc": ("SQLAlchemyError",),
    "botocore.exceptions": ("BotoCoreError", "ClientError"),
    "thrift.Thrift": ("TException",),
    "google.api_core.exceptions": ("GoogleAPIError",),
}


def within(seconds: float, doing: str, call: Callable[[], ResultT]) -> ResultT:
    """Return what the call returns. Raises TransientError when it takes longer, and for trouble that may pass.

    Raises UsageError where trying again cannot help.
    """
    result: Future[ResultT] = Future()
    # a daemon, so that a call which never ends does not keep the process
    Thread(target=_settle, args=(result, call), daemon=True, name="iceberg").start()
    with _reached(doing):
        try:
            return result.result(timeout=seconds)
        except TimeoutError as error:
            if result.done():  # the call itself raised it
                raise
            raise TransientError(f"{doing}: no answer within {seconds:g} s") from error


def _settle(result: "Future[ResultT]", call: Callable[[], ResultT]) -> None:
    try:
        result.set_result(call())
    except BaseException as error:  # noqa: BLE001  it is raised again where it was asked for
        result.set_exception(error)


@contextmanager
def _reached(doing: str) -> Iterator[None]:
    try:
        yield
    except iceberg.ValidationException:
        raise  # a commit met another one; whoever commits knows what to do
    except _of_clients() as error:
        raise TransientError(f"{doing}: {_said(error)}") from error
    except _REFUSED as error:
        raise UsageError(f"{doing}: {_said(error)} (is the table right, and may this user see it?)") from error
    except _TROUBLE as error:
        raise TransientError(f"{doing}: {_said(error)}") from error


def _of_clients() -> tuple[type[Exception], ...]:
    loaded = ((sys.modules[name], classes) for name, classes in _OF_CLIENTS.items() if name in sys.modules)
    return tuple(getattr(module, each) for module, classes in loaded for each in classes)


def _said(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
