"""Real-time two-tower ranking on Kafka and Redis.

What `__all__` names is public; every other name may change with any version. Nothing is imported before it is asked
for, so `import stream_scorer` costs next to nothing.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stream_scorer.core.messages import (
        Acceptance,
        CustomerRequest,
        Filter,
        Offer,
        RankedOffer,
        Ranking,
        RequestedOffer,
    )
    from stream_scorer.errors import (
        BadModel,
        NoRanking,
        NotDelivered,
        NotReady,
        ReleaseError,
        RequestRefused,
        StreamScorerError,
        TransientError,
        UsageError,
    )
    from stream_scorer.services.operating.loaded_release import LoadedRelease
    from stream_scorer.wiring.loading import load_release

__version__ = "0.1.0"

__all__ = [
    "Acceptance",
    "BadModel",
    "CustomerRequest",
    "Filter",
    "LoadedRelease",
    "NoRanking",
    "NotDelivered",
    "NotReady",
    "Offer",
    "RankedOffer",
    "Ranking",
    "ReleaseError",
    "RequestRefused",
    "RequestedOffer",
    "StreamScorerError",
    "TransientError",
    "UsageError",
    "__version__",
    "load_release",
]

_PLACES = {
    "load_release": "stream_scorer.wiring.loading",
    "LoadedRelease": "stream_scorer.services.operating.loaded_release",
    **dict.fromkeys(
        ("Acceptance", "CustomerRequest", "Filter", "Offer", "RankedOffer", "Ranking", "RequestedOffer"),
        "stream_scorer.core.messages",
    ),
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for (PEP 562), and keep it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(_PLACES.get(name, "stream_scorer.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
