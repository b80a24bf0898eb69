"""Frozen settings per component: defaults, bounds and meanings.

`settings_sources` reads them from flags, variables and files.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from stream_scorer.client_keys import fault_of_keys
from stream_scorer.redis_url import fault_of
from stream_scorer.topic_settings import Count, Section, TopicSettings, WireSettings

Delivery = Literal["exactly_once", "at_least_once"]
Seconds = Annotated[float, Field(gt=0)]
Millis = Annotated[int, Field(ge=0)]
KeysT = TypeVar("KeysT", bound=Mapping[str, object])
SKEW_MS = 60_000


def _usable_url(url: SecretStr) -> SecretStr:
    if (fault := fault_of(url.get_secret_value())) is not None:
        raise ValueError(fault)
    return url


def _usable_keys(keys: KeysT) -> KeysT:
    if (fault := fault_of_keys(keys)) is not None:
        raise ValueError(fault)
    return keys


def _web_address(address: str | None) -> str | None:
    if address is not None and not address.startswith(("http://", "https://")):
        raise ValueError(f"begins with neither http:// nor https://: {address}")
    return address


def _expanded(folder: str) -> str:
    """Expand a leading ~ to the home folder, as a shell does: none reads a TOML file or a container's variables."""
    return str(Path(folder).expanduser()) if folder.startswith("~") else folder


SIGNING_KEY_CHARS_MIN = 16


class KafkaSettings(Section):
    """How to reach the brokers."""

    bootstrap_servers: str = "localhost:9092"
    """Brokers to ask first: host:port, separated by commas."""
    client: Annotated[dict[str, str | int | float | bool], AfterValidator(_usable_keys)] = Field(default_factory=dict)
    """librdkafka keys, such as security.protocol, for every client; not those on which exactly once depends."""
    secrets: Annotated[dict[str, SecretStr], AfterValidator(_usable_keys)] = Field(default_factory=dict)
    """librdkafka keys whose values are masked, such as sasl.password."""
    group_protocol: Literal["classic", "consumer"] = "classic"
    """How consumer groups share partitions; consumer: KIP-848, for brokers of version 4."""
    session_timeout_ms: Count = 10_000
    """How long a worker may be silent until its partitions go to others (classic only)."""
    transaction_timeout_ms: Count = 15_000
    """Time after which the broker aborts a transaction that a killed worker left open."""
    compression: Literal["none", "lz4", "zstd", "gzip", "snappy"] = "lz4"
    """How records are compressed on the wire and on the brokers' disks."""
    fetch_wait_max_ms: Count = 500
    """How long a broker may wait for records before it answers without any."""

    def client_config(self) -> dict[str, str | int | float | bool]:
        """Return what every librdkafka client of ours is given, secrets revealed."""
        revealed = {key: secret.get_secret_value() for key, secret in self.secrets.items()}
        return {"bootstrap.servers": self.bootstrap_servers, **self.client, **revealed}


def _long_enough(key: SecretStr | None) -> SecretStr | None:
    if key is not None and len(key.get_secret_value()) < SIGNING_KEY_CHARS_MIN:
        raise ValueError(f"a key must have at least {SIGNING_KEY_CHARS_MIN} characters: openssl rand -hex 32 makes one")
    return key


class RedisSettings(Section):
    """How to reach the store of releases."""

    url: Annotated[SecretStr, AfterValidator(_usable_url)] = SecretStr("redis://localhost:6379/0")
    """Where Redis is: redis://user:password@host:port/database, rediss:// for TLS, or unix://path."""
    prefix: str = "stream-scorer"
    """What the name of every key begins with: a ring of its own for each prefix."""
    timeout_s: Seconds = 2.0
    """How long Redis may take to answer."""
    release_bytes_max: Count = 2**32
    """The largest release that is read; a larger one is refused before memory is taken for it."""
    signing_key: Annotated[SecretStr | None, AfterValidator(_long_enough)] = None
    """Key that signs releases and their changes (HMAC-SHA-256); where it is set, unsigned ones are refused."""


class LoopSettings(Section):
    """The transactional batch loop that all streaming jobs share."""

    delivery: Delivery = "exactly_once"
    """exactly_once: outputs and progress in one transaction; at_least_once: faster, may repeat records."""
    batch_records_max: Annotated[int, Field(ge=1, le=100_000)] = 512
    """The most records that are processed and written together."""
    linger_s: Annotated[float, Field(ge=0, le=10)] = 0.0
    """How long a batch waits for more records after its first."""
    poll_s: Seconds = 0.2
    """How long an idle worker waits for a record before it checks its other duties."""
    write_attempts_max: Count = 5
    """How often a batch is written again after an abort, before its input is read again."""
    instance: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")] = None
    """Name of this worker, unique in its group and the same after a restart; null: a new name at each start."""


class ExplorationSettings(Section):
    """Rankings that try other offers now and then, with propensities; see `core/ranking/exploration.py`."""

    temperature: Annotated[float, Field(ge=0, le=1_000)] = 0.0
    """Temperature of the softmax over scores; 0: no exploration."""
    floor: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Epsilon: the probability of a draw from the pool that ignores scores."""
    pool: Annotated[int, Field(ge=1, le=1_000)] = 100
    """How many of a request's best offers are drawn from."""


class RankSettings(Section):
    """The ranker."""

    group: str = "stream-scorer-rank"
    """Consumer group of the rankers."""
    release_poll_s: Seconds = 0.2
    """How often a ranker asks Redis for a new release, and `refresh` for the current one."""
    offer_features: list[str] | None = None
    """Offer features copied onto rankings; null: all."""
    exploration: ExplorationSettings = ExplorationSettings()
    shortlist: Annotated[int, Field(ge=1, le=1_000)] = 100
    """How many of a request's best offers by the towers a re-ranker ranks, where the release has one."""
    in_step: bool = True
    """Watermark alignment: rank a backlog in the order of event time over all partitions, so that no answer is late."""
    programs: Literal["deny", "allow"] = "deny"
    """Whether towers that are programs of torch.export may run; see docs/trust.md."""
    index: bool = False
    """Whether `publish` and `retrain` index large catalogs (extra index); see docs/approximate-index.md."""
    recall_min: Annotated[float, Field(gt=0, le=1)] = 0.99
    """The least share of a request's best offers that an index must find; below it, requests are ranked exactly."""
    recall_sample: Annotated[int, Field(ge=0)] = 500
    """One request in so many, by its ids, is ranked exactly beside the index, to measure its recall; 0: none."""
    release_folder: Annotated[
        str | None, Field(min_length=1), AfterValidator(lambda name: name and _expanded(name))
    ] = None
    """A folder of this machine through which its rankers share each release's offers in memory; null: none do."""


class JoinSettings(Section):
    """The joiner; see `core/joining/at_once.py` for what each horizon means."""

    group: str = "stream-scorer-join"
    """Consumer group of the joiners."""
    emit: Literal["at_once", "at_close"] = "at_once"
    """Early and final firing: labels as they become known, or a single revision when they are final."""
    window_ms: Millis = 30 * 60_000
    """How long a customer may answer; an offer without an answer then counts as not accepted."""
    late_ms: Millis = 60 * 60_000
    """Allowed lateness: how long after the window an acceptance still corrects a label."""
    disorder_ms: Millis = 60_000
    """Bounded out-of-orderness: how far event times may jump back within a partition."""
    back_ms: Millis = 60_000
    """How far an answer's event time may be before that of its request."""
    tick_ms: Count = 1_000
    """Granularity of the watermark."""
    skew_ms: Millis = SKEW_MS
    """How far an event time may be ahead of the broker's clock, at most `disorder_ms`; others are dead letters."""
    idle_slack_ms: Millis = 2_000
    """How long a ranking waits for outcomes of its time when the broker has no more of them."""
    open_requests_max: Count = 2_000_000
    """The most open requests of a joiner before it ends, and waiting outcomes before the oldest are dead letters."""

    @model_validator(mode="before")
    @classmethod
    def _follow_disorder(cls, given: Any) -> Any:
        """Let a skew that is not given be no longer than the disorder that is."""
        if isinstance(given, dict) and "skew_ms" not in given and str(given.get("disorder_ms", "")).isdecimal():
            return {**given, "skew_ms": min(SKEW_MS, int(given["disorder_ms"]))}
        return given

    @model_validator(mode="after")
    def _bound_skew(self) -> Self:
        """Refuse a skew that lets a fast clock move the watermark past the records of other producers."""
        if self.skew_ms > self.disorder_ms:
            msg = f"skew_ms must be at most disorder_ms = {self.disorder_ms}, got {self.skew_ms}"
            raise ValueError(msg)
        return self


class BufferSettings(Section):
    """Labels to Parquet files or an Iceberg table."""

    group: str = "stream-scorer-buffer"
    """Consumer group of the buffers."""
    folder: Annotated[str, AfterValidator(_expanded)] = "training-buffer"
    """Where labels go: a local folder (~ is yours), s3://bucket/prefix, or a table iceberg://CATALOG/NAMESPACE.TABLE."""
    file_rows_max: Count = 100_000
    """The most rows of a file."""
    held_bytes_max: Count = 16_000_000
    """The most labels kept in memory, by the bytes of their records."""
    flush_s: Seconds = 10.0
    """How long a label may wait in memory until its file is written."""
    keep_prob: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The share of unanswered negatives that is kept; all others are kept."""
    compact_files_min: Annotated[int, Field(ge=2)] = 16
    """How many small neighbouring files of a partition and day are merged into one."""
    replaced_kept_s: Annotated[float, Field(ge=0)] = 3600.0
    """How long files that were merged stay, for readers that have listed them."""


class ServeSettings(Section):
    """Workers of `serve`."""

    restarts_max: Count = 10
    """How often a worker may fail within `serve.restarts_within_s` before `serve` gives up."""
    restarts_within_s: Seconds = 60.0
    """The time over which a worker's failures are counted."""
    restart_delay_s: Seconds = 0.5
    """How long to wait before a failed worker is started again."""
    stop_s: Seconds = 30.0
    """How long workers may take to end before they are killed."""


class RefreshSettings(Section):
    """Offers' changes into the running release."""

    group: str = "stream-scorer-refresh"
    """Consumer group of the refreshers."""


class DeadLetterSettings(Section):
    """Dead letters: their headers, and how the records in them are sent again."""

    headers: Literal["ours", "connect", "spring"] = "ours"
    """Which headers dead letters have beside ours: those of Kafka Connect, those of Spring Kafka, or none."""
    group: Annotated[str, Field(min_length=1, max_length=100)] = "stream-scorer-resend"
    """How the consumer groups of `dead-letters resend` begin: each source topic and code has one of its own."""
    attempts_max: Annotated[int, Field(ge=2, le=1_000)] = 5
    """How often a record is tried in all; `dead-letters resend` leaves one that has failed so often where it is."""


class MetricsSettings(Section):
    """Prometheus metrics and health over HTTP."""

    port: Annotated[int, Field(ge=0, le=65_535)] = 0
    """Port of /metrics, /livez, /readyz and /startupz; 0: none."""
    address: str = "127.0.0.1"
    """Address that the port listens on; 0.0.0.0: every interface."""
    stalled_after_s: Seconds = 60.0
    """A job whose loop does not come round within this time is not live."""


class TracingSettings(Section):
    """Spans of OpenTelemetry, one for each batch; see docs/observing.md."""

    endpoint: Annotated[str | None, AfterValidator(_web_address)] = None
    """Collector that takes OTLP over HTTP, such as http://localhost:4318; without one no spans are made."""


class HttpSettings(Section):
    """Requests over HTTP; see docs/http.md."""

    address: str = "127.0.0.1"
    """Address that the port listens on; 0.0.0.0: every interface, and nothing here asks who calls."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    """Port of /rank, /accept and /openapi.json; 0: a free one, which the log names."""
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 10.0
    """How long a request may wait for its ranking, a body for its end, and a message for its delivery."""
    in_flight_max: Count = 100
    """The most requests at a time; those beyond are answered with 503."""


class UiSettings(Section):
    """The live page; see docs/live-page.md."""

    address: str = "127.0.0.1"
    """Address that the page listens on; 0.0.0.0: every interface, and nothing here asks who calls."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8090
    """Port of the page; 0: a free one, which the log names."""
    hosts: list[Annotated[str, Field(pattern=r"^(\*|(\*\.)?[A-Za-z0-9.-]{1,253})$")]] = Field(default_factory=list)
    """Names by which browsers may call it beside localhost and the address, such as that of an ingress; "*": any."""
    personal: Literal["masked", "shown"] = "masked"
    """Whether ids of customers, their features and the values of dead letters are shown."""
    offer_name: str | None = None
    """Feature that names an offer to people; null: `name` or `title`, where an offer has one."""
    workers: list[Annotated[str, Field(pattern=r"^https?://[^\s]{1,500}$")]] = Field(
        default_factory=list, max_length=50
    )
    """Metrics of workers to show, such as http://10.0.0.5:9100/metrics."""
    records_max: Annotated[int, Field(ge=10, le=100_000)] = 2_000
    """The most records that a panel reads from the end of a topic."""
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    """How long brokers, Redis and workers may take to answer."""


class MlflowSettings(Section):
    """Models logged and registered in MLflow; see docs/mlflow.md."""

    tracking_uri: SecretStr | None = None  # it may hold a password
    """MLflow's tracking server, such as https://mlflow:5000; null: the one that MLFLOW_TRACKING_URI names."""
    experiment: Annotated[str, Field(min_length=1, max_length=200)] = "stream-scorer"
    """The experiment that runs are logged to; it is made where it is missing."""


class LogSettings(Section):
    """Logging to stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The lowest level that is logged."""
    format: Literal["auto", "console", "json"] = "auto"
    """json: nothing but JSON lines; console: text for people; auto: text where stderr is a terminal."""


class Settings(BaseSettings):
    """All settings. The class itself reads no file and no variable: `settings_sources.load_settings` does."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="STREAM_SCORER_", env_nested_delimiter="__"
    )

    kafka: KafkaSettings = KafkaSettings()
    topics: TopicSettings = TopicSettings()
    wire: WireSettings = WireSettings()
    redis: RedisSettings = RedisSettings()
    loop: LoopSettings = LoopSettings()
    rank: RankSettings = RankSettings()
    join: JoinSettings = JoinSettings()
    serve: ServeSettings = ServeSettings()
    buffer: BufferSettings = BufferSettings()
    refresh: RefreshSettings = RefreshSettings()
    dead_letters: DeadLetterSettings = DeadLetterSettings()
    http: HttpSettings = HttpSettings()
    ui: UiSettings = UiSettings()
    metrics: MetricsSettings = MetricsSettings()
    tracing: TracingSettings = TracingSettings()
    mlflow: MlflowSettings = MlflowSettings()
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
        """Use the arguments alone: pydantic would read the environment by itself."""
        return (init_settings,)


class LocalSettings(BaseSettings):
    """Where local servers find their files, by the customary variables."""

    kafka_home: Annotated[Path | None, AfterValidator(lambda path: path and path.expanduser())] = None
    xdg_cache_home: Path = Path("~/.cache")

    @property
    def cache(self) -> Path:
        """Return our folder in the user's cache."""
        return self.xdg_cache_home.expanduser() / "stream-scorer"
