"""`stream-scorer publish`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_scorer.cli.options import (
    AllowPrograms,
    Json,
    of_setting,
    programs_flag,
    refuse_all_but,
    refuse_given,
    settings_of,
)
from stream_scorer.cli.tower_sources import NO_VECTOR_IN_REQUESTS, TowerSources, model_from
from stream_scorer.errors import UsageError

if TYPE_CHECKING:
    from stream_scorer.core.messages import Offer
    from stream_scorer.core.releases.release import Release
    from stream_scorer.core.towers.model import Model
    from stream_scorer.ports import ReleaseStore
    from stream_scorer.services.learning.publisher import Draft, Indexer
    from stream_scorer.settings import Settings

_OF_A_SWITCH = {"rollback", "to", "keep", "as_json"}
_OF_A_REINDEX = {"reindex", "keep", "as_json"}
_HELD_OUT = 0.2  # the share of the labels, the latest, that judges a model of which nobody knows what it learned from


def publish(
    ctx: typer.Context,
    *,
    model: Annotated[
        Path | None,
        typer.Option(
            show_default=False, help="A model's folder, or models:/NAME/VERSION or models:/NAME@ALIAS of MLflow."
        ),
    ] = None,
    offers: Annotated[
        Path | None, typer.Option(show_default=False, help="The catalog: JSON lines, CSV or Parquet.")
    ] = None,
    offer_vectors: Annotated[
        Path | None,
        typer.Option(
            show_default=False, help="In place of --model: the offers' vectors, as JSON lines, Parquet or .npz."
        ),
    ] = None,
    customer_vectors: Annotated[
        Path | None,
        typer.Option(
            show_default=False,
            help="Customers' vectors; the user tower embeds customers without. With neither, requests bring vectors.",
        ),
    ] = None,
    user_program: Annotated[
        Path | None,
        typer.Option(show_default=False, help="In place of --model: the user tower, a program of torch.export (.pt2)."),
    ] = None,
    item_program: Annotated[
        Path | None, typer.Option(show_default=False, help="In place of --model: the item tower, such a program.")
    ] = None,
    vector_feature: Annotated[str, typer.Option(help="The feature in which a request brings its vector.")] = "vector",
    labels: Annotated[
        str | None,
        typer.Option(
            show_default=False, help="Labelled examples: the gate judges the model by them, beside popularity."
        ),
    ] = None,
    keep: Annotated[int, typer.Option(min=1, max=100, help="How many releases to keep, the current one included.")] = 3,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Go back to the release before the current one.")
    ] = False,
    to: Annotated[
        str | None,
        typer.Option(show_default=False, help="Switch to the stored release of this id; `releases` lists them."),
    ] = None,
    reindex: Annotated[
        bool,
        typer.Option(
            "--reindex",
            help="Publish the current release's offers as they are now, with an index built anew (extra index).",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Embed and judge, print the result, and change nothing.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Publish even what the gate refuses; this is recorded with the release.")
    ] = False,
    index: Annotated[bool | None, of_setting("rank.index", flag="--index/--no-index")] = None,
    allow_programs: AllowPrograms = False,
    as_json: Json = False,
) -> None:
    """Embed the offers, write a release, verify it and switch to it; or switch to a stored one.

    The gate refuses a release that would rank worse than popularity or without its features.
    """
    from stream_scorer.wiring.stores import indexer, release_store

    sources = TowerSources(model, item_program, offer_vectors, user_program, customer_vectors)
    switches = rollback or to is not None
    if reindex:
        refuse_all_but(ctx, _OF_A_REINDEX, "--reindex changes the index of the current release alone")
    _check_given(ctx, sources, to=to, switches=switches, dry_run=dry_run)
    settings = settings_of(ctx, {**programs_flag(allow_programs), "rank.index": reindex or index})
    store = release_store(settings)
    if reindex:
        _reindex(store, indexer(settings), keep=keep)
    elif switches:
        _switch(store, to, keep=keep)
    else:
        if offers is None or not sources.complete():
            raise UsageError(
                "publish needs --model DIR and --offers PATH, or --rollback "
                "(--item-program or --offer-vectors may stand for --model)"
            )
        indexes = indexer(settings)
        made = _taken(settings, sources, vector_feature)
        draft, made = _judged_draft(store, made, offers, labels, indexes)
        if dry_run:
            _print_draft(draft, as_json=as_json, force=force)
            return
        _make_current(store, made, draft, keep=keep, force=force)
    _list(store, as_json=as_json)


def _taken(settings: "Settings", sources: TowerSources, vector_feature: str) -> "Model":
    """Return the model; one from a registry has its origin among its facts, which go into the release's manifest."""
    from dataclasses import replace

    from stream_scorer.wiring.registry import model_folder, model_registry

    with model_folder(lambda: model_registry(settings), sources.model) as (folder, origin):
        made = model_from(settings, replace(sources, model=folder), vector_feature=vector_feature)
    if not origin:
        return made
    if not origin["model_id"]:
        print(f"caution: {origin['model']} states no model id, so that only its digest is checked", file=sys.stderr)
    return replace(made, facts={**made.facts, "registered": origin})


def _check_given(ctx: typer.Context, sources: TowerSources, *, to: str | None, switches: bool, dry_run: bool) -> None:
    """Refuse, before anything is asked of Redis, flags that have no effect beside the others."""
    if switches:
        refuse_all_but(ctx, _OF_A_SWITCH, "a switch to a stored release makes no new one")
        if to is not None:
            refuse_given(ctx, {"rollback"}, "--to names the release to switch to")
    if not sources.brings_vectors:
        refuse_given(ctx, {"vector_feature"}, NO_VECTOR_IN_REQUESTS)
    if dry_run:
        refuse_given(ctx, {"keep"}, "--dry-run changes nothing")


def _switch(store: "ReleaseStore", to: str | None, *, keep: int) -> None:
    """Switch to a stored release, or back to the one before, and print both ids."""
    from stream_scorer.core.messages import ReleaseId
    from stream_scorer.errors import ReleaseError

    try:
        before = store.current() or "none"
    except ReleaseError as error:  # a pointer that cannot be read is what a switch mends
        before = f"unknown ({error})"
    if to is None:
        now = store.roll_back(keep=keep)
    else:
        now = ReleaseId(to)
        store.activate(now, keep=keep)
    print(f"release {now} serves now; before it {before}", file=sys.stderr)


def _reindex(store: "ReleaseStore", indexes: "Indexer | None", *, keep: int) -> None:
    from stream_scorer.adapters.local.clock import SystemClock
    from stream_scorer.services.learning.publisher import reindex

    assert indexes is not None, "rank.index is set beside --reindex"
    release = reindex(store, indexes, created_ms=SystemClock().now_ms(), keep=keep)
    print(f"release {release.release_id} serves now; {_about_index(release)}", file=sys.stderr)


def _judged_draft(
    store: "ReleaseStore", made: "Model", offers: Path, labels: str | None, indexes: "Indexer | None"
) -> "tuple[Draft, Model]":
    """Return the release with the gate's faults, and the model with the figures by which it was judged."""
    from stream_scorer.adapters.files.offer_files import read_offers
    from stream_scorer.core.features.coverage import cautions_of
    from stream_scorer.core.releases.gate import cautions_of_facts
    from stream_scorer.core.releases.validity import validity_cautions
    from stream_scorer.services.learning.publisher import held_against

    stated = read_offers(offers)
    made, doubts = (made, []) if labels is None else _judged(made, stated, labels)
    draft = _drafted(made, stated, indexes)
    if indexes is not None:
        print(_about_index(draft.release), file=sys.stderr)
    cautions = [*doubts, *cautions_of(draft.coverage), *validity_cautions(stated, draft.release.created_ms)]
    for sentence in (*cautions, *cautions_of_facts(made.facts)):
        print(f"caution: {sentence}", file=sys.stderr)
    return held_against(draft, store), made


def _print_draft(draft: "Draft", *, as_json: bool, force: bool) -> None:
    """Print what would be published; exit 1 where the gate refuses it."""
    import json

    release = draft.release
    if as_json:
        shown = {"release_id": release.release_id, "offers": len(release.catalog), "faults": draft.faults}
        print(json.dumps(shown))
    else:
        verdict = "the gate refuses it" if draft.faults else "the gate passes it"
        print(f"dry run: release {release.release_id} of {len(release.catalog):,} offers; {verdict}")
        for fault in draft.faults:
            print(f"  {fault}")
    if draft.faults and not force:
        raise typer.Exit(1)


def _make_current(store: "ReleaseStore", made: "Model", draft: "Draft", *, keep: int, force: bool) -> None:
    from stream_scorer.services.learning.publisher import publish as make_current

    release = make_current(store, made, draft, keep=keep, force=force)
    print(f"release {release.release_id} serves now", file=sys.stderr)


def _list(store: "ReleaseStore", *, as_json: bool) -> None:
    """List the releases. The switch is done: that they cannot be listed is a caution, not a failure."""
    from stream_scorer.cli.releases import print_releases
    from stream_scorer.errors import ReleaseError, TransientError

    try:
        stored = store.releases()
    except (ReleaseError, TransientError) as error:
        print(f"caution: the switch is done, but the releases cannot be listed: {error}", file=sys.stderr)
        stored = []
    print_releases(stored, as_json=as_json)


def _judged(model: "Model", offers: "list[Offer]", labels: str) -> "tuple[Model, list[str]]":
    """Return the model with the figures of these labels, and what puts them in doubt."""
    from dataclasses import replace

    from stream_scorer.services.learning.evaluator import quality_facts
    from stream_scorer.wiring.labels import labels_at

    with labels_at(labels) as examples:
        facts, cautions = quality_facts(model, offers, examples, held_out=_HELD_OUT)
    return replace(model, facts={**model.facts, **facts}), cautions


def _about_index(release: "Release") -> str:
    from stream_scorer.core.ranking.index_plan import INDEX_OFFERS_MIN

    nearest, offers = release.catalog.nearest, len(release.catalog)
    if nearest is None:
        return f"caution: no index is made: exact ranking is as fast below {INDEX_OFFERS_MIN:,} offers, got {offers:,}"
    file = nearest.file
    return f"index: {len(file.centroids):,} lists, {file.probes} looked into, recall at ten {file.recall:.4f}"


def _drafted(model: "Model", offers: "list[Offer]", indexes: "Indexer | None") -> "Draft":
    from stream_scorer.adapters.local.clock import SystemClock
    from stream_scorer.cli.progress import progress_of
    from stream_scorer.services.learning.publisher import draft_release

    done = 0

    def embedded(count: int) -> None:
        nonlocal done
        done = count
        show(count)

    with progress_of("offers embedded", lambda: done / len(offers)) as show:
        return draft_release(model, offers, created_ms=SystemClock().now_ms(), embedded=embedded, indexer=indexes)
