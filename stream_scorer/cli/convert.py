"""`stream-scorer convert`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from stream_scorer.cli.options import Json


def convert(
    log: Annotated[Literal["open-bandit"], typer.Argument(help="The kind of log.")],
    path: Annotated[
        Path, typer.Argument(help="Its folder: of a campaign, with men.csv and item_context.csv, for example.")
    ],
    *,
    out: Annotated[
        Path, typer.Option(help="Folder to write requests, acceptances, offers and labels to, as .jsonl files.")
    ],
    as_json: Json = False,
) -> None:
    """Convert a public log to events, for `replay`.

    `stream-scorer replay OUT/requests.jsonl --topic customer-requests` sends the requests.

    labels.jsonl has what was shown, with its propensities, to train and evaluate on.
    """
    import json

    from stream_scorer.adapters.files.open_bandit import OpenBandit
    from stream_scorer.core.wire.codec import encode, encode_without_absent

    bandit = {"open-bandit": OpenBandit.at}[log](path)
    out.mkdir(parents=True, exist_ok=True)
    counts = {"requests": 0, "acceptances": 0, "offers": 0, "labels": 0}
    with (out / "requests.jsonl").open("wb") as requests, (out / "acceptances.jsonl").open("wb") as acceptances:
        for request, acceptance in bandit.events():
            requests.write(encode(request) + b"\n")
            counts["requests"] += 1
            if acceptance is not None:
                acceptances.write(encode(acceptance) + b"\n")
                counts["acceptances"] += 1
    offers = bandit.offers()
    (out / "offers.jsonl").write_bytes(b"".join(encode(offer) + b"\n" for offer in offers))
    counts["offers"] = len(offers)
    with (out / "labels.jsonl").open("wb") as labels:
        for example in bandit.examples():
            labels.write(encode_without_absent(example) + b"\n")
            counts["labels"] += 1
    print(
        json.dumps(counts)
        if as_json
        else f"{', '.join(f'{count:,} {name}' for name, count in counts.items())} in {out}"
    )
