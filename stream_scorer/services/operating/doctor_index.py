"""What the doctor says of an index in front of the current release: whether it still finds what it must."""

from collections.abc import Iterator

from stream_scorer.core.ranking.index_building import MEASURED_REQUESTS, recall_gauge
from stream_scorer.core.ranking.index_plan import MEASURED_LIMIT, outgrown
from stream_scorer.core.releases.catalog import index_cover
from stream_scorer.ports import ReleaseReader
from stream_scorer.services.operating.doctor import Finding

_LIVE = "of requests, it is found / all of stream_scorer_index_offers_total on the rankers' metrics"


def index_findings(releases: ReleaseReader, *, recall_min: float) -> Iterator[Finding]:
    """Measure the index of the current release as it stands with the changes since, as publish did; none: nothing.

    `releases` must load releases with their indexes; without faiss, it is said that nothing was measured.
    """
    stated = [info.index_recall for info in releases.releases() if info.current]
    current = releases.current()
    if current is None or not stated or stated[0] is None:
        return
    catalog = releases.load(current).catalog
    cover = index_cover(catalog)
    if catalog.nearest is None or cover is None:
        says = f"not measured: faiss is not here, or the index cannot be used; publish found {stated[0]:.4f}"
        yield Finding("index", "warning", says, "pip install '.[index]' where doctor and the rankers run")
    elif outgrown(cover, len(catalog)):
        says = f"{len(cover.fresh):,} of {len(catalog):,} offers are not in it, so rankers rank every request exactly"
        yield Finding("index", "warning", says, "stream-scorer publish --reindex")
    else:
        share = recall_gauge(catalog)(catalog.nearest).share
        says = (
            f"finds {share:.4f} of the best {MEASURED_LIMIT} for {MEASURED_REQUESTS} made-up customers "
            f"({stated[0]:.4f} at publish); {_LIVE}"
        )
        do = "" if share >= recall_min else f"stream-scorer publish --reindex: rank.recall_min is {recall_min}"
        yield Finding("index", "warning" if do else "ok", says, do)
