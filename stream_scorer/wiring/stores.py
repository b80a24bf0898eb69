"""Opens the store of releases, and decides whether towers may be programs."""

import importlib.util
from pathlib import Path

from stream_scorer.adapters.redis.client import RedisClient, connect
from stream_scorer.adapters.redis.releases import RedisReleases
from stream_scorer.adapters.shared.release_folder import ReleaseFolder
from stream_scorer.core.ranking.index_building import build_index
from stream_scorer.core.releases.catalog import Catalog, ShareCatalog
from stream_scorer.core.releases.offer_index import Cluster, InvertedFile, ListSearch, OfferIndex, OpenIndex, Vectors32
from stream_scorer.core.towers.program_tower import OpenProgram, Program
from stream_scorer.errors import ClosedProgram, UsageError
from stream_scorer.services.learning.publisher import Indexer
from stream_scorer.settings import Settings


def release_store(settings: Settings, *, ranks: bool = False) -> RedisReleases:
    """Return the store of releases on a new connection. See releases_on."""
    client = connect(settings.redis.url.get_secret_value(), timeout_s=settings.redis.timeout_s)
    return releases_on(client, settings, ranks=ranks)


def releases_on(client: RedisClient, settings: Settings, *, ranks: bool = False) -> RedisReleases:
    """Return the store of releases on an existing connection.

    Only for a process that `ranks` are releases loaded with their indexes: to open one takes time and memory.
    """
    redis = settings.redis
    return RedisReleases(
        client,
        prefix=redis.prefix,
        bytes_max=redis.release_bytes_max,
        signing_key=None if redis.signing_key is None else redis.signing_key.get_secret_value().encode(),
        open_program=program_opener(settings),
        open_index=_open_index if ranks else None,
        share=_shared(settings) if ranks else None,
    )


def _shared(settings: Settings) -> ShareCatalog | None:
    folder = settings.rank.release_folder
    return None if folder is None else ReleaseFolder(Path(folder))


def _open_index(file: InvertedFile, vectors: Vectors32) -> ListSearch:
    # faiss takes a third of a second to import, and most releases have no index
    from stream_scorer.adapters.index.faiss_lists import FaissLists

    return FaissLists(file, vectors)


def indexer(settings: Settings) -> Indexer | None:
    """Return what makes the index of a new release, None where `rank.index` asks for none.

    Raises UsageError where faiss is not installed.
    """
    if not settings.rank.index:
        return None
    cluster, open_index = index_tools()

    def made(catalog: Catalog) -> tuple[OfferIndex | None, list[str]]:
        return build_index(catalog, cluster, open_index, recall_min=settings.rank.recall_min)

    return made


def index_tools() -> tuple[Cluster, OpenIndex]:
    """Return what makes an index, and what makes it ready. Raises UsageError where faiss is not installed."""
    if importlib.util.find_spec("faiss") is None:
        raise UsageError("an index (rank.index, publish --index) needs faiss: pip install '.[index]'")
    from stream_scorer.adapters.index.faiss_lists import cluster

    return cluster, _open_index


def program_opener(settings: Settings) -> OpenProgram:
    """Return the function that opens towers' programs; where the settings deny programs, it raises BadModel."""
    return open_program if settings.rank.programs == "allow" else _deny_program


def _deny_program(data: bytes) -> Program:
    raise ClosedProgram(
        f'it is a program of torch.export ({len(data)} bytes), and rank.programs is "deny": set it to "allow" '
        "where you trust everybody who can write models and the store of releases"
    )


def open_program(data: bytes) -> Program:
    """Open a tower's program; torch is imported here, because most rankers need none.

    Raises BadModel when torch is not installed, and for a program that cannot be opened.
    """
    try:
        from stream_scorer.training.program import open_program as run_by_torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ClosedProgram("it is a program of torch.export: pip install '.[train]'") from error
    return run_by_torch(data)
