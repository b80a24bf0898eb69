"""Features in the store, JSON that is copied onto rankings: checked for the contract's kinds before they serve."""

from collections.abc import Sequence

import msgspec

FeatureKinds = dict[str, str | int | float | bool | None | list[str | int | float]]

_decode = msgspec.json.Decoder(list[FeatureKinds]).decode


def check_features(fragments: Sequence[bytes]) -> None:
    """Raise ValueError or msgspec's errors unless each fragment is one JSON object of scalars and flat lists.

    They are parsed as one list. A fragment that holds two objects, or none, makes the counts differ or the list no
    JSON.
    """
    if (objects := len(_decode(b"[" + b",".join(fragments) + b"]"))) != len(fragments):
        raise ValueError(f"{len(fragments)} offers have {objects} objects of features")
