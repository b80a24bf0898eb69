"""Cautions about the times in a catalog: if all offers have ended, or times are in seconds, nothing can be ranked."""

from collections.abc import Sequence

from stream_scorer.core.messages import SECONDS_FROM, SECONDS_TO, Offer


def validity_cautions(offers: Sequence[Offer], now_ms: int) -> list[str]:
    """Return cautions that no offer can be ranked now and that times look like seconds; an empty list if neither."""
    cautions = []
    ended = sum(offer.valid_until_ms is not None and offer.valid_until_ms <= now_ms for offer in offers)
    begins = sum(offer.valid_from_ms is not None and offer.valid_from_ms > now_ms for offer in offers)
    inactive = sum(not offer.active for offer in offers)
    if offers and not any(_is_valid(offer, now_ms) for offer in offers):
        cautions.append(
            f"none of {len(offers):,} offers can be ranked now: {ended:,} have ended (valid_until_ms), "
            f"{begins:,} begin later (valid_from_ms), {inactive:,} are not active"
        )
    for name in ("valid_from_ms", "valid_until_ms"):
        seconds = [time for offer in offers if (time := getattr(offer, name)) and SECONDS_FROM <= time <= SECONDS_TO]
        if seconds:
            cautions.append(
                f"{name} of {len(seconds):,} offers looks like seconds ({seconds[0]}), but is read as milliseconds: "
                "multiply by 1000"
            )
    return cautions


def _is_valid(offer: Offer, now_ms: int) -> bool:
    begun = offer.valid_from_ms is None or offer.valid_from_ms <= now_ms
    return offer.active and begun and (offer.valid_until_ms is None or now_ms < offer.valid_until_ms)
