"""Loads a release for programs: from a model's folder and offers, or from the store of releases."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stream_scorer.adapters.files.model_files import read_model
from stream_scorer.adapters.files.offer_files import read_offers
from stream_scorer.adapters.local.clock import SystemClock
from stream_scorer.adapters.redis.client import connect
from stream_scorer.core.features.coverage import cautions_of
from stream_scorer.core.messages import Offer, ReleaseId
from stream_scorer.core.ranking.encoding import OfferFeatures
from stream_scorer.core.releases.release import Release
from stream_scorer.errors import ReleaseError, UsageError
from stream_scorer.services.learning.publisher import draft_release
from stream_scorer.services.operating.given_messages import checked
from stream_scorer.services.operating.loaded_release import LoadedRelease
from stream_scorer.settings import Settings
from stream_scorer.settings_sources import load_settings
from stream_scorer.topic_plan import ranking_bytes_max
from stream_scorer.wiring.stores import program_opener, releases_on

Offers = str | Path | Sequence[Offer | Mapping[str, Any]]
CURRENT = "current"
_STORES = ("redis://", "rediss://", "unix://")
_NO_SETTINGS: Mapping[str, object] = {}


def load_release(
    source: str | Path | None = None,
    *,
    offers: Offers | None = None,
    release_id: str = CURRENT,
    settings: Mapping[str, object] = _NO_SETTINGS,
    config: str | Path | None = None,
) -> LoadedRelease:
    """Load a release, to embed, score and rank by it as the ranker does; torch is needed for programs alone.

    `source` is a model's folder, to which `offers` belong (a file, or a sequence of offers), or the URL of Redis;
    without it, `redis.url`. `release_id` chooses among the releases in Redis. Other settings come from `settings`, by
    dotted name (`{"redis.prefix": "shop"}`), from STREAM_SCORER_* variables, and from the TOML file `config`.

    Raises UsageError for a wrong argument or setting, BadModel and ReleaseError for a model or release that cannot be
    read, and TransientError when Redis does not answer within `redis.timeout_s`.
    """
    in_store = source is None or str(source).startswith(_STORES)
    flags = {**settings, "redis.url": source} if in_store and source is not None else settings
    loaded = load_settings(flags, file=None if config is None else Path(config).expanduser()).settings
    if source is None or in_store:
        if offers is not None:
            raise UsageError("a release in Redis has its own offers: leave out offers=, or name a model's folder")
        return stored_release(loaded, release_id)
    if offers is None:
        raise UsageError("a model's folder needs its offers beside it: offers='offers.csv', or a list of offers")
    if release_id != CURRENT:
        raise UsageError("release_id= chooses among the releases in Redis, and a model's folder has none")
    return release_of_model(loaded, Path(source).expanduser(), offers)


def stored_release(settings: Settings, name: str) -> LoadedRelease:
    """Load a release by its id, or the `current` one. Raises ReleaseError when there is none."""
    client = connect(settings.redis.url.get_secret_value(), timeout_s=settings.redis.timeout_s)
    with contextlib.closing(client):
        store = releases_on(client, settings, ranks=True)
        release_id = store.current() if name == CURRENT else ReleaseId(name)
        if release_id is None:
            raise ReleaseError("there is no release yet; stream-scorer publish makes one")
        return _loaded(settings, store.load(release_id))


def release_of_model(settings: Settings, folder: Path, offers: Offers) -> LoadedRelease:
    """Make a release of a model and its offers, as publish does; the gate's faults become cautions."""
    model = read_model(folder, open_program=program_opener(settings))
    catalog = (
        read_offers(Path(offers)) if isinstance(offers, str | Path) else [checked(each, Offer)[0] for each in offers]
    )
    draft = draft_release(model, catalog, created_ms=SystemClock().now_ms(), embedded=lambda done: None)
    return _loaded(settings, draft.release, (*draft.faults, *cautions_of(draft.coverage)))


def _loaded(settings: Settings, release: Release, cautions: tuple[str, ...] = ()) -> LoadedRelease:
    names = settings.rank.offer_features
    kept = OfferFeatures(None if names is None else tuple(names))
    return LoadedRelease(release, SystemClock(), cautions, kept, ranking_bytes_max(settings), settings.rank.shortlist)
