"""`stream-scorer import-h2o`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_scorer.cli.options import Json

if TYPE_CHECKING:
    from stream_scorer.core.towers.model import Model


def import_h2o(
    *,
    user: Annotated[Path, typer.Option(help="The MOJO file of the customers' model.")],
    item: Annotated[Path, typer.Option(help="The MOJO file of the offers' model.")],
    out: Annotated[Path, typer.Option(help="Folder to write the model to; a model there is replaced.")],
    customer_column: Annotated[
        str, typer.Option(help="The column of the customers' model that holds the customer id.")
    ] = "customer_id",
    offer_column: Annotated[
        str | None,
        typer.Option(show_default="offer_id or offer", help="The column of the offers' model that holds the offer id."),
    ] = None,
    layer: Annotated[
        int, typer.Option(min=0, help="The hidden layer whose outputs become the vectors, counted from 0.")
    ] = 0,
    default: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=NUMBER", show_default=False, help="What a numeric column counts as where a row has no value."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a model from two H2O deep learning models in MOJO format: hidden outputs become vectors. It needs no JVM.

    Towers trained apart share no vector space by themselves: measure with `evaluate` before publishing.
    """
    from stream_scorer.adapters.files.model_files import make_room, write_model
    from stream_scorer.adapters.files.mojo_files import read_mojo
    from stream_scorer.services.learning.h2o_import import OFFER_COLUMNS, model_of

    make_room(out)
    model = model_of(
        read_mojo(user),
        read_mojo(item),
        customer_columns=(customer_column,),
        offer_columns=(offer_column,) if offer_column else OFFER_COLUMNS,
        layer=layer,
        defaults=dict(_default(each) for each in default or ()),
    )
    write_model(out, model)
    tell_imported(model, out, as_json)


def _default(text: str) -> tuple[str, float]:
    import math

    from stream_scorer.errors import UsageError

    name, _, value = text.rpartition("=")
    try:
        number = float(value)
    except ValueError as error:
        raise UsageError(f"--default must be NAME=NUMBER, got {text}") from error
    if not name or not math.isfinite(number):
        raise UsageError(f"--default must be NAME=NUMBER, got {text}")
    return name, number


def tell_imported(model: "Model", out: Path, as_json: bool) -> None:
    """Print what an imported model reads and how long its vectors are."""
    import json

    if as_json:
        print(json.dumps({"model_id": model.model_id, "out": str(out), "facts": model.facts}))
        return
    for name, tower in (("user tower", model.user_tower), ("item tower", model.item_tower)):
        print(f"{name}: {', '.join(one.name for one in tower.spec.inputs)} -> {tower.dim} numbers")
    if "similarity" in model.facts:
        print(f"vectors are compared by: {str(model.facts['similarity']).replace('_', ' ')}")
    print(f"model {model.model_id} in {out}")
