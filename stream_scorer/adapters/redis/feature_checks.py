"""Checks stored features for the contract's kinds before they serve: they are copied onto rankings as they are."""

from collections.abc import Sequence

import msgspec

FeatureKinds = dict[str, str | int | float | bool | None | list[str | int | float]]

_decode = msgspec.json.Decoder(list[FeatureKinds]).decode


def check_features(fragments: Sequence[bytes]) -> None:
    """Raise ValueError or an error of msgspec unless each fragment is a JSON object of scalars and flat lists.

    For speed, all fragments are parsed as a single list. A fragment of two objects or of none shows, because the list
    then has another length, or is not JSON.
    """
    if (objects := len(_decode(b"[" + b",".join(fragments) + b"]"))) != len(fragments):
        raise ValueError(f"{len(fragments)} offers have {objects} objects of features")
