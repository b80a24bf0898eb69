"""The Redis (or Valkey) under the store of releases. See StoreAdmin."""

from stream_scorer.adapters.redis.client import RedisClient, at_the_edge
from stream_scorer.ports import StoreFacts


class RedisAdmin:
    """See StoreAdmin."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    @at_the_edge
    def facts(self) -> StoreFacts:
        """See StoreAdmin. INFO tells all of it, so that no right to CONFIG is needed."""
        info = self._client.info()
        name, version = (
            ("Valkey", info["valkey_version"]) if "valkey_version" in info else ("Redis", info["redis_version"])
        )
        return StoreFacts(
            f"{name} {version}", info.get("maxmemory_policy"), info.get("used_memory"), info.get("maxmemory")
        )
