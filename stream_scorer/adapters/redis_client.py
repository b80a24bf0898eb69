"""A Redis client whose waits are bounded, and the one place where its errors become ours."""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import ParamSpec, TypeVar

import redis
from redis import exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from stream_scorer.errors import ReleaseError, TransientError, UsageError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# What passes by itself, or once an operator has seen to it: a server that is away, loading, full, failing over, or shut to us.
TRANSIENT: tuple[type[Exception], ...] = (
    exceptions.ConnectionError,  # also: authentication, loading, too many clients
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,
    exceptions.OutOfMemoryError,
    exceptions.NoPermissionError,
    exceptions.TryAgainError,
    exceptions.ClusterDownError,
    exceptions.ExecAbortError,
    exceptions.InvalidResponse,
)


def connect(url: str, *, timeout_s: float) -> redis.Redis:
    """Make a client that answers or fails within `timeout_s`: no retries of its own, whose defaults can take a minute.

    Connects at the first command. Raises UsageError for a URL that names no Redis.
    """
    try:
        return redis.Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=Retry(NoBackoff(), 0))
    except ValueError as error:
        raise UsageError(f"redis.url must be redis://, rediss:// or unix://: {error}") from None


def at_the_edge(method: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Turn redis-py's errors into TransientError (try again) and ReleaseError (what is stored is not ours to read)."""

    @wraps(method)
    def mapped(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            return method(*args, **kwargs)
        except TRANSIENT as error:
            raise TransientError(f"redis: {error}") from error
        except exceptions.RedisError as error:
            raise ReleaseError(f"redis refused the command: {error}") from error

    return mapped


def text_of(values: Iterable[bytes | str]) -> list[str]:
    """Decode replies, which are bytes."""
    return [value.decode() if isinstance(value, bytes) else value for value in values]
