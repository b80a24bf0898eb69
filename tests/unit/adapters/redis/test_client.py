"""Every error of redis-py becomes one of ours."""

import inspect

import pytest
from redis import exceptions

from stream_scorer.adapters.redis.admin import RedisAdmin
from stream_scorer.adapters.redis.client import TRANSIENT, at_the_edge, connect
from stream_scorer.errors import ReleaseError, TransientError, UsageError

ERRORS = [
    kind for _, kind in inspect.getmembers(exceptions, inspect.isclass) if issubclass(kind, exceptions.RedisError)
]
TELLS_OF_A_MISTAKE = {  # what was asked, or what is stored, is wrong, or this is a cluster: asking again does not help
    "AskError",
    "AuthenticationWrongNumberOfArgsError",
    "ClusterCrossSlotError",
    "ClusterError",
    "CrossSlotTransactionError",
    "DataError",
    "LockError",
    "LockNotOwnedError",
    "ModuleError",
    "MovedError",
    "NoScriptError",
    "NoSuchFieldsetError",
    "PubSubError",
    "RedisError",
    "ResponseError",
    "WatchError",
}


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_no_error_of_redis_is_missed(kind: type[Exception]) -> None:
    @at_the_edge
    def fails() -> None:
        raise kind.__new__(kind, "why")

    with pytest.raises(ReleaseError if kind.__name__ in TELLS_OF_A_MISTAKE else TransientError):
        fails()


def test_what_is_transient_is_known_to_redis() -> None:
    assert set(TRANSIENT) <= set(ERRORS)


@pytest.mark.parametrize("url", ["http://localhost", "localhost:6379", ""])
def test_a_url_of_no_redis_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match=r"redis\.url"):
        connect(url, timeout_s=1.0)


@pytest.mark.parametrize(
    "error",
    [
        exceptions.MovedError("8619 127.0.0.1:17002"),
        exceptions.ClusterCrossSlotError("keys"),
        exceptions.AskError("1 h:1"),
    ],
)
def test_a_cluster_is_refused_by_name(error: Exception) -> None:
    @at_the_edge
    def fails() -> None:
        raise error

    with pytest.raises(ReleaseError, match="names a Redis Cluster, which is not supported"):
        fails()


def test_a_sentinel_is_refused_by_name() -> None:
    @at_the_edge
    def fails() -> None:
        raise exceptions.ResponseError("unknown command 'GET'")

    with pytest.raises(ReleaseError, match="a Sentinel answers so"):
        fails()


@pytest.mark.parametrize(("mode", "reason"), [("cluster", "names a Redis Cluster"), ("sentinel", "a Sentinel answers")])
def test_a_cluster_or_sentinel_is_named(mode: str, reason: str) -> None:
    class Client:
        def info(self) -> dict[str, str]:
            return {"redis_mode": mode, "redis_version": "7"}

    with pytest.raises(ReleaseError, match=reason):
        RedisAdmin(Client()).facts()  # type: ignore[arg-type]
