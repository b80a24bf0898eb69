"""`stream-scorer releases`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from stream_scorer.cli.options import Json, settings_of

if TYPE_CHECKING:
    from stream_scorer.core.releases.release import GateFigures, ReleaseInfo


def releases(ctx: typer.Context, *, as_json: Json = False) -> None:
    """List the stored releases, newest first: state, date, offers, model, and the figures that the gate judged."""
    from stream_scorer.wiring.stores import release_store

    print_releases(release_store(settings_of(ctx)).releases(), as_json=as_json)


def print_releases(stored: "Sequence[ReleaseInfo]", *, as_json: bool) -> None:
    """Print a line for each release, and below it the gate's faults that --force overrode."""
    import json
    from dataclasses import asdict

    from stream_scorer.cli.times import shown_time

    if as_json:
        print(json.dumps([asdict(release) for release in stored]))
        return
    for release in stored:
        if release.fault:
            print(f"{release.release_id!r:.110}  {_state(release)}  cannot be read: {release.fault}")
            continue
        figures = _figures(release.figures)
        index = "" if release.index_recall is None else f"  index, recall {release.index_recall:.4f}"
        second = f"  re-ranker {release.reranker}" if release.reranker else ""
        print(
            f"{release.release_id}  {_state(release):<8}  {shown_time(release.created_ms)}  {release.offers:>9,} offers"
            f"  model {release.model_id}{second}{index}{figures}"
        )
        for fault in release.forced:
            print(f"  forced: {fault}")


def _state(release: "ReleaseInfo") -> str:
    """Return what a release is to rankers; `before` is the one that a rollback goes to."""
    if release.current:
        return "current"
    return {None: "unused", 1: "before"}.get(release.place, "kept")


def _figures(figures: "GateFigures") -> str:
    if figures.auc is None:
        return ""
    popularity = "" if figures.popularity_auc is None else f", popularity {figures.popularity_auc:.3f}"
    customers = "" if figures.customers is None else f", {figures.customers:,} customers"
    return f"  AUC within customer {figures.auc:.3f}{popularity}{customers}"
