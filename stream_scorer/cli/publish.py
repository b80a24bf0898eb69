"""`stream-scorer publish`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_scorer.cli.options import AllowPrograms, Json, programs_flag, settings_of
from stream_scorer.cli.tower_sources import TowerSources, model_from

if TYPE_CHECKING:
    from stream_scorer.core.messages import Offer
    from stream_scorer.core.releases.release import ReleaseInfo
    from stream_scorer.core.towers.model import Model
    from stream_scorer.services.learning.publisher import Draft

_HELD_OUT = 0.2  # the share of the labels, the latest, that judges a model of which nobody knows what it learned from


def publish(
    ctx: typer.Context,
    *,
    model: Annotated[Path | None, typer.Option(show_default=False, help="The folder that train wrote.")] = None,
    offers: Annotated[Path | None, typer.Option(show_default=False, help="JSON lines, CSV or Parquet.")] = None,
    offer_vectors: Annotated[
        Path | None,
        typer.Option(show_default=False, help="In place of --model: offers' vectors, JSON lines, Parquet or .npz."),
    ] = None,
    customer_vectors: Annotated[
        Path | None,
        typer.Option(
            show_default=False,
            help="Customers' vectors; the user tower makes the rest. With neither, a request brings its own.",
        ),
    ] = None,
    user_program: Annotated[
        Path | None,
        typer.Option(
            show_default=False, help="In place of --model: the customers' tower, a torch.export program (.pt2)."
        ),
    ] = None,
    item_program: Annotated[
        Path | None, typer.Option(show_default=False, help="In place of --model: the offers' tower, such a program.")
    ] = None,
    vector_feature: Annotated[str, typer.Option(help="The feature in which a request brings it.")] = "vector",
    labels: Annotated[
        str | None,
        typer.Option(
            show_default=False, help="Labelled examples that the gate compares with popularity by, for any model."
        ),
    ] = None,
    keep: Annotated[
        int, typer.Option(min=1, max=100, help="Releases to keep, the current one counted; older ones expire.")
    ] = 3,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Go back to the release before the current one.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Publish what the gate refuses; recorded with the release.")
    ] = False,
    allow_programs: AllowPrograms = False,
    as_json: Json = False,
) -> None:
    """Embed offers, write a release beside the current one, verify it and switch to it at once; or roll back."""
    from stream_scorer.adapters.files.offer_files import read_offers
    from stream_scorer.core.features.coverage import cautions_of
    from stream_scorer.core.releases.gate import caution_of
    from stream_scorer.core.releases.validity import validity_cautions
    from stream_scorer.services.learning.publisher import held_against
    from stream_scorer.services.learning.publisher import publish as make_current
    from stream_scorer.wiring import release_store

    settings = settings_of(ctx, programs_flag(allow_programs))
    store = release_store(settings)
    sources = TowerSources(model, item_program, offer_vectors, user_program, customer_vectors)
    if rollback:
        _refuse(
            force or offers is not None or sources.named(),
            "--rollback takes no --model, --offers, --force, programs or vectors",
        )
        store.roll_back(keep=keep)
    else:
        _refuse(
            offers is None or not sources.complete(),
            "publish needs --model DIR and --offers PATH, or --rollback (--item-program or --offer-vectors may stand for --model)",
        )
        made = model_from(settings, sources, vector_feature=vector_feature)
        stated = read_offers(Path(offers or ""))
        made = made if labels is None else _judged(made, stated, labels)
        draft = _drafted(made, stated)
        for sentence in [*cautions_of(draft.coverage), *validity_cautions(stated, draft.release.created_ms)]:
            print(f"caution: {sentence}", file=sys.stderr)
        make_current(store, made, held_against(draft, store), keep=keep, force=force)
        if (caution := caution_of(made.facts)) is not None:
            print(f"caution: {caution} (--labels)", file=sys.stderr)
    _tell(store.releases(), as_json)


def _refuse(wrong: bool, sentence: str) -> None:
    from stream_scorer.errors import UsageError

    if wrong:
        raise UsageError(sentence)


def _judged(model: "Model", offers: "list[Offer]", labels: str) -> "Model":
    from dataclasses import replace

    from stream_scorer.adapters.files.example_places import examples_at
    from stream_scorer.services.learning.evaluator import quality_facts

    with examples_at(labels) as examples:
        return replace(model, facts={**model.facts, **quality_facts(model, offers, examples, held_out=_HELD_OUT)})


def _drafted(model: "Model", offers: "list[Offer]") -> "Draft":
    from stream_scorer.adapters.local.clock import SystemClock
    from stream_scorer.cli.progress import progress_of
    from stream_scorer.services.learning.publisher import draft_release

    done = 0

    def embedded(count: int) -> None:
        nonlocal done
        done = count
        show(count)

    with progress_of("offers embedded", lambda: done / len(offers)) as show:
        return draft_release(model, offers, created_ms=SystemClock().now_ms(), embedded=embedded)


def _tell(releases: "list[ReleaseInfo]", as_json: bool) -> None:
    import json
    from dataclasses import asdict

    if as_json:
        print(json.dumps([asdict(release) for release in releases]))
        return
    for release in releases:
        state = "current" if release.current else "kept"
        print(f"{release.release_id}  {state:<7}  {release.offers:>9,} offers  model {release.model_id}")
        for fault in release.forced:
            print(f"  forced: {fault}")
