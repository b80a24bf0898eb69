"""Frozen settings per component, with their defaults and bounds; `settings_sources` reads them from flags, variables and files."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

Delivery = Literal["exactly_once", "at_least_once"]
Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Millis = Annotated[int, Field(ge=0)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KafkaSettings(_Frozen):
    """How to reach the brokers; `client` takes any librdkafka key (security, for example) for every client."""

    bootstrap_servers: str = "localhost:9092"
    client: dict[str, str | int | float | bool] = Field(default_factory=dict)
    secrets: dict[str, SecretStr] = Field(
        default_factory=dict, description="librdkafka keys whose values are masked: sasl.password, …"
    )
    group_protocol: Literal["classic", "consumer"] = "classic"
    session_timeout_ms: Count = 10_000
    transaction_timeout_ms: Count = 15_000
    compression: Literal["none", "lz4", "zstd", "gzip", "snappy"] = "lz4"
    fetch_wait_max_ms: Count = 500

    def client_config(self) -> dict[str, str | int | float | bool]:
        """Return what every librdkafka client of ours is given, secrets revealed."""
        revealed = {key: secret.get_secret_value() for key, secret in self.secrets.items()}
        return {"bootstrap.servers": self.bootstrap_servers, **self.client, **revealed}


class TopicSettings(_Frozen):
    """Names, partition counts and retention of the topics."""

    requests: str = "customer-requests"
    acceptances: str = "acceptances"
    offers: str = "offers"
    rankings: str = "rankings"
    outcomes: str = "outcomes"
    labels: str = "training-labels"
    dead_letters: str = "dead-letters"
    partitions: Count = 8
    replication_factor: Count = 1
    retention_ms: Count = 7 * 24 * 3_600_000
    labels_retention_ms: Count = 30 * 24 * 3_600_000
    record_bytes_max: Count = 2_000_000


class RedisSettings(_Frozen):
    """How to reach the store of releases."""

    url: SecretStr = SecretStr("redis://localhost:6379/0")
    prefix: str = "stream-scorer"
    timeout_s: Seconds = 2.0


class LoopSettings(_Frozen):
    """The transactional batch loop, shared by rank and join."""

    delivery: Delivery = "exactly_once"
    batch_records_max: Annotated[int, Field(ge=1, le=100_000)] = 512
    linger_s: Annotated[float, Field(ge=0, le=10)] = 0.0
    poll_s: Seconds = 0.2
    write_attempts_max: Count = 5
    instance: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9._-]{1,100}$",
            description="name of this worker, the same after a restart; null: a new one",
        ),
    ] = None


class ExplorationSettings(_Frozen):
    """Rankings that try other offers now and then, with their propensities; see `core/ranking/exploration.py`."""

    temperature: Annotated[
        float, Field(ge=0, le=1_000, description="of the softmax over scores; 0: no exploration")
    ] = 0.0
    floor: Annotated[
        float, Field(ge=0, lt=1, description="probability of a draw from the pool that ignores scores")
    ] = 0.05
    pool: Annotated[int, Field(ge=1, le=1_000, description="how many of a request's best offers take part")] = 100


class RankSettings(_Frozen):
    """The ranker."""

    group: str = "stream-scorer-rank"
    release_poll_s: Seconds = 0.2
    offer_features: list[str] | None = Field(default=None, description="offer features copied onto rankings; null: all")
    exploration: ExplorationSettings = ExplorationSettings()
    in_step: bool = Field(
        default=True,
        description="rank a backlog in the order of event time over all partitions, so that the join takes no answer for late",
    )


class JoinSettings(_Frozen):
    """The joiner; see `core/joining/at_once.py` for what each horizon means."""

    group: str = "stream-scorer-join"
    emit: Annotated[
        Literal["at_once", "at_close"],
        Field(description="labels as they become known, or one final revision when nothing can change any more"),
    ] = "at_once"
    window_ms: Millis = 30 * 60_000
    late_ms: Millis = 60 * 60_000
    disorder_ms: Millis = 60_000
    back_ms: Millis = 60_000
    tick_ms: Count = 1_000
    skew_ms: Millis = 60_000
    idle_slack_ms: Millis = 2_000
    open_requests_max: Count = 2_000_000


class BufferSettings(_Frozen):
    """Labels to Parquet."""

    group: str = "stream-scorer-buffer"
    folder: str = "training-buffer"
    file_rows_max: Count = 100_000
    held_bytes_max: Annotated[Count, Field(description="bytes of labels held in memory until they are written")] = (
        16_000_000
    )
    flush_s: Seconds = 10.0
    keep_prob: Annotated[
        float, Field(gt=0, le=1, description="share of the negatives nobody answered for that is kept")
    ] = 1.0
    compact_files_min: Annotated[
        int, Field(ge=2, description="small files of a partition and day in a row that are made one")
    ] = 16
    replaced_kept_s: Annotated[
        float, Field(ge=0, description="how long files made one stay for those who read them")
    ] = 3600.0


class ServeSettings(_Frozen):
    """Workers of `serve`: more failures of one than this within the time end it all."""

    restarts_max: Count = 10
    restarts_within_s: Seconds = 60.0
    restart_delay_s: Seconds = 0.5
    stop_s: Seconds = 30.0


class RefreshSettings(_Frozen):
    """Offers' changes into the running release."""

    group: str = "stream-scorer-refresh"


class MetricsSettings(_Frozen):
    """Prometheus metrics and health over HTTP; port 0: none. A job that polled nothing for `stalled_after_s` is not live."""

    port: Annotated[int, Field(ge=0, le=65_535)] = 0
    address: str = "127.0.0.1"
    stalled_after_s: Seconds = 60.0


class LogSettings(_Frozen):
    """Logging to stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class Settings(BaseSettings):
    """All of it. Made by hand it reads nothing: see `settings_sources.load_settings`."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="STREAM_SCORER_", env_nested_delimiter="__"
    )

    kafka: KafkaSettings = KafkaSettings()
    topics: TopicSettings = TopicSettings()
    redis: RedisSettings = RedisSettings()
    loop: LoopSettings = LoopSettings()
    rank: RankSettings = RankSettings()
    join: JoinSettings = JoinSettings()
    serve: ServeSettings = ServeSettings()
    buffer: BufferSettings = BufferSettings()
    refresh: RefreshSettings = RefreshSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what is given and nothing else."""
        return (init_settings,)


class LocalSettings(BaseSettings):
    """Where local servers find their files, by the variables that everybody uses for it."""

    kafka_home: Path | None = None
    xdg_cache_home: Path = Path("~/.cache")

    @property
    def cache(self) -> Path:
        """Return our folder in the user's cache."""
        return self.xdg_cache_home.expanduser() / "stream-scorer"
