"""The plainest training of two towers, which serves only as a comparison.

Each id has a vector, a pair's score is their dot product, and the loss is logistic.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional as F

_DIM = 32
_LEARNING_RATE = 0.004


def train_plainly(
    customer: npt.NDArray[np.int64],
    offer: npt.NDArray[np.int64],
    accepted: npt.NDArray[np.float32],
    *,
    epochs: int,
    batch_rows: int,
) -> float:
    """Train on the rows (n,), and return the mean loss of the last epoch."""
    torch.set_num_threads(1)
    user, item = nn.Embedding(int(customer.max()) + 1, _DIM), nn.Embedding(int(offer.max()) + 1, _DIM)
    optimiser = torch.optim.Adam([*user.parameters(), *item.parameters()], lr=_LEARNING_RATE)
    rng, total = np.random.default_rng(0), 0.0
    for _ in range(epochs):
        total = 0.0
        for chosen in np.array_split(rng.permutation(len(accepted)), -(-len(accepted) // batch_rows)):
            log_odds = (user(torch.from_numpy(customer[chosen])) * item(torch.from_numpy(offer[chosen]))).sum(dim=1)
            loss = F.binary_cross_entropy_with_logits(log_odds, torch.from_numpy(accepted[chosen]))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total += float(loss.detach()) * len(chosen)
    return total / len(accepted)
