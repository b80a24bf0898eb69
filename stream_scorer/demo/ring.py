"""The demo's ring: a broker, a store, and our own commands as processes, all of which it stops at its end."""

import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from stream_scorer.adapters.kafka.admin import KafkaTopicAdmin
from stream_scorer.adapters.local.clock import SystemClock
from stream_scorer.adapters.local.embedded import FETCH_WAIT_MAX_MS, SESSION_TIMEOUT_MS, EmbeddedBroker
from stream_scorer.adapters.local.kafka import LocalKafka
from stream_scorer.adapters.local.own_command import OwnCommand
from stream_scorer.adapters.local.valkey import LocalValkey
from stream_scorer.errors import GateRefusal, NotReady, StreamScorerError, UsageError
from stream_scorer.services.operating.topics import create_topics
from stream_scorer.settings import LocalSettings, Settings
from stream_scorer.topic_plan import topic_specs

STEP_S = 0.02
PARTITIONS = 4
WINDOW_MS = 5_000
OUTPUT_MAX = 100_000  # characters: the last line, which lists the faults, must be whole
MARK = "# The ring of a demo, for `stream-scorer --config` while it runs. The next demo empties this folder."

Section = dict[str, str | int | float]


def prepare(out: Path) -> None:
    """Make the folder, or empty an earlier demo's. Raises UsageError for any other folder that is not empty."""
    config = out / "settings.toml"
    if out.exists() and any(out.iterdir()) and not (config.is_file() and config.read_text().startswith(MARK)):
        raise UsageError(f"{out} contains something that no demo has written: name another folder with --out")
    shutil.rmtree(out, ignore_errors=True)
    (out / "logs").mkdir(parents=True)
    config.write_text(MARK)


class Ring:
    """`start` starts the servers, `run` a command, and `stop` stops all in reverse order."""

    def __init__(self, out: Path, *, kafka: bool) -> None:
        """Keep settings and logs in `out`; a real broker where `kafka`, else the embedded one."""
        self._out, self._kafka = out, kafka
        self._open = ExitStack()
        self._steady: list[OwnCommand] = []
        self.settings = Settings()

    @property
    def config(self) -> Path:
        """Return the settings file of all commands."""
        return self._out / "settings.toml"

    @property
    def labels(self) -> Path:
        """Return the folder of all labelled examples, the training buffer included."""
        return self._out / "labels"

    @property
    def offers(self) -> Path:
        """Return the file of the catalog."""
        return self._out / "offers.jsonl"

    def start(self) -> None:
        """Start broker and store, create the topics, and write the settings that reach them."""
        broker = self._broker()
        self._open.enter_context(broker)
        store = self._open.enter_context(LocalValkey())
        sections = self._sections(broker.bootstrap_servers, store.url)
        self.settings = Settings.model_validate(sections)
        self.config.write_text(f"{MARK}\n\n{_toml(sections)}")
        if self._kafka:
            create_topics(KafkaTopicAdmin(self.settings.kafka.client_config()), topic_specs(self.settings))

    def run(self, *arguments: str, steady: bool = False) -> OwnCommand:
        """Start a command of ours; a `steady` one runs until `stop`."""
        command = OwnCommand(arguments, config=self.config, log=self._out / "logs" / f"{arguments[0]}.log")
        self._open.callback(command.end)
        if steady:
            self._steady.append(command)
        return command

    def check(self) -> None:
        """Raise when a steady command has ended."""
        for command in self._steady:
            if (code := command.poll()) is not None:
                raise StreamScorerError(_ended(command, code))

    def until(
        self,
        done: Callable[[], bool],
        note: str,
        seconds_max: float,
        *,
        meanwhile: Callable[[], None] | None = None,
    ) -> None:
        """Do `meanwhile`, or sleep, until `done`. Raises NotReady when that takes too long, and what `check` raises."""
        clock = SystemClock()
        step = meanwhile or partial(clock.sleep, STEP_S)
        deadline_s = clock.monotonic_s() + seconds_max
        while not done():
            if clock.monotonic_s() > deadline_s:
                raise NotReady(f"{note}: not within {seconds_max:g} s; see {self._out / 'logs'}")
            self.check()
            step()

    def stop_steady(self) -> None:
        """Stop the steady commands, so that they write what they have in memory."""
        for command in reversed(self._steady):
            command.end()
        self._steady.clear()

    def stop(self) -> None:
        """Stop everything."""
        self._steady.clear()
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _broker(self) -> EmbeddedBroker | LocalKafka:
        if not self._kafka:
            return EmbeddedBroker({spec.name: PARTITIONS for spec in topic_specs(Settings())})
        places = LocalSettings()
        return LocalKafka(cache=places.cache, kafka_home=places.kafka_home)

    def _sections(self, bootstrap_servers: str, redis_url: str) -> dict[str, Section]:
        kafka: Section = {"bootstrap_servers": bootstrap_servers}
        if not self._kafka:
            kafka |= {"session_timeout_ms": SESSION_TIMEOUT_MS, "fetch_wait_max_ms": FETCH_WAIT_MAX_MS}
        return {
            "kafka": kafka,
            "topics": {"partitions": PARTITIONS},
            "redis": {"url": redis_url},
            "loop": {"delivery": "exactly_once" if self._kafka else "at_least_once"},
            # short horizons, so that unanswered offers become negatives while somebody watches
            "join": {
                "window_ms": WINDOW_MS,
                "late_ms": 30_000,
                "disorder_ms": 2_000,
                "back_ms": 5_000,
                "tick_ms": 500,
                "idle_slack_ms": 500,
            },
            "buffer": {"folder": str((self.labels / "buffer").absolute()), "flush_s": 3.0},
            "log": {"format": "json"},
        }


def ended(command: OwnCommand) -> bool:
    """Return whether a command has ended, well or by the gate's refusal. Raises StreamScorerError when it failed."""
    code = command.poll()
    if code not in (None, 0) and refusal(command.last_output(OUTPUT_MAX)) is None:
        raise StreamScorerError(_ended(command, code))
    return code is not None


def refusal(output: str) -> str | None:
    """Return why the gate refused a release, by the last line that publish logged; None where it did not."""
    try:
        line = json.loads(output.rpartition("\n")[2])
    except ValueError:
        return None
    refused = isinstance(line, dict) and line.get("error") == GateRefusal.__name__
    return str(line["reason"]).removeprefix("refused: ") if refused else None


def _ended(command: OwnCommand, code: int) -> str:
    ran = f"`stream-scorer {' '.join(command.arguments)}`"
    return f"{ran} ended with code {code}; the end of its output:\n{command.last_output()}"


def _toml(sections: Mapping[str, Section]) -> str:
    lines: list[str] = []
    for name, values in sections.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items()), ""]
    return "\n".join(lines)
