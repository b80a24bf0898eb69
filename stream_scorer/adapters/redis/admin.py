"""Facts about the Redis or Valkey server in which releases are stored. See StoreAdmin."""

from stream_scorer.adapters.redis.client import CLUSTER, SENTINEL, RedisClient, at_the_edge
from stream_scorer.errors import ReleaseError
from stream_scorer.ports import StoreFacts

_UNSUPPORTED = {"cluster": CLUSTER, "sentinel": f"a Sentinel answers; {SENTINEL}"}


class RedisAdmin:
    """See StoreAdmin."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    @at_the_edge
    def facts(self) -> StoreFacts:
        """See StoreAdmin. All of it is in INFO, so that no right to CONFIG is needed."""
        info = self._client.info()
        # Valkey calls it server_mode, unless it is set to imitate Redis
        mode = info.get("redis_mode", info.get("server_mode"))
        if mode in _UNSUPPORTED:
            raise ReleaseError(_UNSUPPORTED[mode])
        name, version = (
            ("Valkey", info["valkey_version"]) if "valkey_version" in info else ("Redis", info["redis_version"])
        )
        return StoreFacts(
            f"{name} {version}", info.get("maxmemory_policy"), info.get("used_memory"), info.get("maxmemory")
        )
