"""A Redis client whose waits are bounded, and the only place where its errors become ours."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar, cast

import redis
from redis import exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from stream_scorer.errors import ReleaseError, TransientError, UsageError

# large, since every read releases the interpreter lock, which a busy thread is slow to give back
READ_BYTES = 1 << 20

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# What passes by itself or once an operator acts: a server that is away, loading, full or failing over, or that refuses
# us access.
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


_OF_A_CLUSTER = (
    exceptions.MovedError,
    exceptions.AskError,
    exceptions.ClusterError,
    exceptions.ClusterCrossSlotError,
    exceptions.CrossSlotTransactionError,
)
CLUSTER = "redis.url names a Redis Cluster, which is not supported: give stream-scorer a server of its own"
SENTINEL = "redis.url must name the server itself, or a name that follows its failover"


class Script(Protocol):
    """A Lua script, which is sent by its digest."""

    def __call__(self, *, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Any:
        """Run the script and return its reply."""


class RedisClient(Protocol):
    """The commands used here, with replies as bytes. redis-py's own types leave open how replies are decoded."""

    def get(self, name: str) -> bytes | None:
        """GET."""

    def getrange(self, key: str, start: int, end: int) -> bytes:
        """GETRANGE; empty where there is no such key."""

    def info(self) -> dict[str, Any]:
        """INFO."""

    def mget(self, keys: Sequence[str]) -> list[bytes | None]:
        """MGET."""

    def set(self, name: str, value: bytes) -> object:
        """SET."""

    def delete(self, *names: str) -> int:
        """DEL."""

    def sadd(self, name: str, *values: str) -> int:
        """SADD."""

    def smembers(self, name: str) -> AbstractSet[bytes]:
        """SMEMBERS."""

    def lrange(self, name: str, start: int, end: int) -> list[bytes]:
        """LRANGE."""

    def memory_usage(self, key: str, samples: int) -> int | None:
        """MEMORY USAGE; None where there is no such key."""

    def hscan_iter(self, name: str, match: str, count: int) -> Iterator[tuple[bytes, bytes]]:
        """HSCAN, repeated until the end."""

    def xrange(self, name: str, min: str, *, count: int) -> list[tuple[bytes, Mapping[bytes, bytes]]]:
        """XRANGE."""

    def register_script(self, script: str) -> Script:
        """Return a script that is sent by its digest, and loaded where the server does not know it."""

    def ping(self) -> object:
        """PING."""

    def close(self) -> None:
        """Close the connections."""


def connect(url: str, *, timeout_s: float) -> RedisClient:
    """Return a client that answers or fails within `timeout_s`, without retries: the default ones can take a minute.

    It connects at the first command. Raises UsageError for a URL that does not name a Redis server.
    """
    try:
        client = redis.Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            socket_read_size=READ_BYTES,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError:  # from None: its text may show a part of the password
        raise UsageError("redis.url must be redis://, rediss:// or unix://, with a host and a port") from None
    return cast("RedisClient", client)


def at_the_edge(method: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Raise redis-py's errors as TransientError, where a retry may help, or as ReleaseError, where it cannot."""

    @wraps(method)
    def mapped(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            return method(*args, **kwargs)
        except TRANSIENT as error:
            raise TransientError(f"redis: {error}") from error
        except _OF_A_CLUSTER as error:
            raise ReleaseError(f"{CLUSTER} ({type(error).__name__})") from error
        except exceptions.RedisError as error:
            if "unknown command" in str(error):
                raise ReleaseError(f"redis: {error}: a Sentinel answers so; {SENTINEL}") from error
            raise ReleaseError(f"redis refused the command: {error}") from error

    return mapped
