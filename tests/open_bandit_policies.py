"""The two policies of the Open Bandit Dataset's logs, as tables for `evaluate --policy`.

The Beta priors of its Bernoulli Thompson sampling for the campaign "men" were published with it: st-tech/zr-obp,
Apache-2.0 (Saito et al., arXiv:2008.07146).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from stream_scorer.core.messages import Offer

Floats = npt.NDArray[np.float64]

PLACES, DRAWS, BLOCK = 3, 200_000, 10_000
ALPHA = (
    47, 8, 62, 142, 3, 6, 100, 48, 23, 71, 61, 13, 16, 518, 30, 7, 4, 23, 8, 10, 11, 11, 18, 121,
    11, 4, 32, 30, 9, 22, 6, 23, 5, 54,
)  # fmt: skip
BETA = (
    12198, 3566, 15993, 35522, 2367, 3100, 24665, 13210, 7061, 18061, 17449, 5644, 6787, 111326,
    8776, 3334, 2271, 7389, 2659, 3665, 4724,
    3561, 5085, 27407, 4601, 2923, 8897, 8654, 4000, 6580, 3174, 6766, 2602, 14506,
)  # fmt: skip


def at_random(offers: Sequence[Offer]) -> dict[int, Floats]:
    """Return the policy that shows any item alike."""
    return {rank: np.full(len(offers), 1 / len(offers)) for rank in range(1, PLACES + 1)}


def thompson(offers: Sequence[Offer], *, draws: int = DRAWS, seed: int = 0) -> dict[int, Floats]:
    """Return, for each place, how often each item is drawn there: the largest draws of the items' Betas, in order."""
    rng = np.random.default_rng(seed)
    counts = np.zeros((PLACES, len(ALPHA)))
    for _ in range(draws // BLOCK):
        drawn = rng.beta(ALPHA, BETA, size=(BLOCK, len(ALPHA)))
        best = np.argsort(-drawn, axis=1)[:, :PLACES]
        for place in range(PLACES):
            counts[place] += np.bincount(best[:, place], minlength=len(ALPHA))
    items = [int(offer.offer_id) for offer in offers]
    return {place + 1: counts[place, items] / counts[place].sum() for place in range(PLACES)}
