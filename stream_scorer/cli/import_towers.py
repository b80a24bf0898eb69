"""`stream-scorer import-towers`."""

from pathlib import Path
from typing import Annotated

import typer

from stream_scorer.cli.import_h2o import tell_imported
from stream_scorer.cli.options import AllowPrograms, Json, programs_flag, refuse_given, settings_of
from stream_scorer.cli.tower_sources import NO_VECTOR_IN_REQUESTS, Similarity, TowerSources, model_from


def import_towers(
    ctx: typer.Context,
    *,
    out: Annotated[Path, typer.Option(help="Folder to write the model to; a model there is replaced.")],
    model: Annotated[
        Path | None,
        typer.Option(show_default=False, help="A model's folder; --customer-vectors go before its user tower."),
    ] = None,
    offer_vectors: Annotated[
        Path | None, typer.Option(show_default=False, help="The offers' vectors: JSON lines, Parquet or .npz.")
    ] = None,
    customer_vectors: Annotated[
        Path | None,
        typer.Option(
            show_default=False,
            help="Customers' vectors; the user tower embeds customers without. With neither, requests bring vectors.",
        ),
    ] = None,
    user_program: Annotated[
        Path | None, typer.Option(show_default=False, help="The user tower, a program of torch.export (.pt2).")
    ] = None,
    item_program: Annotated[
        Path | None, typer.Option(show_default=False, help="The item tower, such a program.")
    ] = None,
    vector_feature: Annotated[str, typer.Option(help="The feature in which a request brings its vector.")] = "vector",
    similarity: Annotated[
        Similarity,
        typer.Option(
            help="What the vectors were trained for: cosine, or dot, whose order one more dimension keeps; "
            "auto: dot, unless all offers' vectors have length 1."
        ),
    ] = "auto",
    allow_programs: AllowPrograms = False,
    as_json: Json = False,
) -> None:
    """Make a model from programs or vectors made elsewhere, to evaluate, score and publish like any other."""
    from stream_scorer.adapters.files.model_files import make_room, write_model
    from stream_scorer.errors import UsageError

    sources = TowerSources(model, item_program, offer_vectors, user_program, customer_vectors, similarity)
    if not sources.complete():
        raise UsageError(
            "import-towers needs one of --item-program, --offer-vectors or --model, "
            "and no --user-program beside --model"
        )
    if not sources.brings_vectors:
        refuse_given(ctx, {"vector_feature"}, NO_VECTOR_IN_REQUESTS)
    if not sources.looks_vectors_up:
        refuse_given(
            ctx, {"similarity"}, "it is of vectors on both sides: the outputs of a tower are compared by cosine"
        )
    make_room(out)
    made = model_from(settings_of(ctx, programs_flag(allow_programs)), sources, vector_feature=vector_feature)
    write_model(out, made)
    tell_imported(made, out, as_json)
