"""How far a single precision score may be from the exact one."""

import numpy as np
from numpy.typing import NDArray

Scores32 = NDArray[np.float32]


def margins(customers: Scores32) -> Scores32:
    """Return for each customer (B, p) twice the bound on the error of a single precision score, as (B,).

    Offers' vectors must be no longer than 1.

    The cast of the customer's vector u, the p products with an offer's vector v and the p - 1 sums each err by at most
    2^-24, relative to |u||v| (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1). Four more such
    errors cover the length of v, the subtraction and the higher orders.
    """
    dim = customers.shape[1]
    lengths = np.maximum(np.sqrt(np.einsum("ij,ij->i", customers, customers)), 1.0)
    bounds: Scores32 = (2.0 * (dim + 4) * 2.0**-24 * 1.01 * lengths).astype(np.float32)
    return bounds
