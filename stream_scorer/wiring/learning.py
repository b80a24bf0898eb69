"""Builds `retrain` from the labels, the offers, the store of releases and the training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from stream_scorer.adapters.files.model_files import make_room, write_model
from stream_scorer.adapters.files.offer_files import read_offers
from stream_scorer.adapters.local.clock import SystemClock
from stream_scorer.core.datasets.chunks import ExampleSource
from stream_scorer.core.messages import Offer
from stream_scorer.core.towers.model import Model
from stream_scorer.errors import TransientError, UsageError
from stream_scorer.ports import ModelRegistry
from stream_scorer.services.learning.retrainer import RetrainConfig, Retrainer, Round
from stream_scorer.services.learning.trainer import source_of, train_model
from stream_scorer.settings import Settings
from stream_scorer.telemetry.prometheus import serve_metrics
from stream_scorer.training.options import TrainOptions
from stream_scorer.training.reranking.second_stage import RankerKind, RerankOptions, second_stage
from stream_scorer.wiring.labels import labels_at
from stream_scorer.wiring.registry import model_registry
from stream_scorer.wiring.stores import indexer, release_store

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RetrainPlaces:
    """Where labels and offers are read and each newest model is written, and its name in MLflow, if it has one."""

    labels: str
    offers: Path
    out: Path
    ranker: RankerKind | None = None  # the kind of re-ranker that each model gets, where it ranks no worse
    registered: str | None = None


def run_retrain(
    settings: Settings,
    places: RetrainPlaces,
    config: RetrainConfig,
    *,
    every_s: float | None,
    stopping: Callable[[], bool],
) -> Round | None:
    """Do one round and return how it ended; with `every_s`, do rounds until `stopping` and return None.

    Raises UsageError where the model's folder cannot be written, and, without `every_s`, where labels or offers are
    missing or cannot be trained on.
    """
    make_room(places.out)
    telemetry = serve_metrics(settings.metrics, SystemClock())
    telemetry.retrained(None)
    retrainer = Retrainer(
        release_store(settings),
        lambda: labels_at(places.labels),
        lambda: read_offers(places.offers),
        config,
        train=partial(_train, places.ranker),
        write=_writer(settings, places),
        clock=SystemClock(),
        ended=lambda ended: telemetry.retrained(ended.outcome),
        indexer=indexer(settings),
    )
    if every_s is None:
        return retrainer.once()
    retrainer.run(every_s=every_s, stopping=stopping)
    return None


def _writer(settings: Settings, places: RetrainPlaces) -> Callable[[Model], None]:
    def write(model: Model) -> None:
        write_model(places.out, model)

    if places.registered is None:
        return write
    return registering(write, model_registry(settings), places.out, places.registered)


def registering(
    write: Callable[[Model], None], registry: ModelRegistry, folder: Path, name: str
) -> Callable[[Model], None]:
    """Return what writes a model and registers it. That the registry fails is logged, and holds up no release."""

    def write_and_register(model: Model) -> None:
        write(model)
        try:
            registered = registry.register(name, folder, model.model_id, model.facts)
        except (TransientError, UsageError) as error:
            log.warning("model_not_registered", name=name, reason=str(error))
        else:
            log.info("model_registered", model=registered)

    return write_and_register


def _train(
    ranker: RankerKind | None,
    examples: ExampleSource,
    offers: Sequence[Offer],
    options: TrainOptions,
    earlier: Model | None,
) -> Model:
    second = None
    if ranker is not None:
        second = second_stage(
            source_of(examples, offers, options, earlier),
            offers,
            RerankOptions(ranker, seed=options.seed),
            lambda sentence: log.warning("re-ranker", reason=sentence),
        )
    return train_model(examples, offers, options, earlier=earlier, second=second).model
