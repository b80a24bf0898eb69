"""A re-ranker that is a small network, after DCN-v2 (Wang et al. 2021, arXiv:2008.13535), with a low-rank cross.

The first layer is linear in the customer, the offer and the pair, so that it falls into three parts: the customer's is
computed once a request, the offer's once a release, and a candidate costs two additions and a few small products.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from stream_scorer.core.features.spec import Floats, Inputs
from stream_scorer.core.reranking.pair_inputs import PairInputs
from stream_scorer.core.reranking.pair_scorer import PairScorer
from stream_scorer.core.towers.reranker import OfferSide, Shortlisted
from stream_scorer.core.towers.tower import TILE_ROWS, Layer, Tower, run_layer
from stream_scorer.errors import BadModel

_BLOCK_PAIRS = 1_024  # what is worked on at once should stay in the processor's cache: measured, half of 8,192's time


@dataclass(frozen=True, slots=True)
class NetworkReranker(PairScorer):
    """Sums the halves of the first layer (M, W), multiplies two ranges of it, and runs `layers` over the rest.

    Of the W units, the first `crossed` are multiplied by the next `crossed`, the last is added to the score as it is,
    and those between pass through a ReLU. `pair` (W, P) is the first layer's part that reads the pair's own columns.
    """

    inputs: PairInputs
    customer_half: Tower
    offer_half: Tower
    pair: Floats
    crossed: int
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        """Raise BadModel for parts that do not fit together."""
        width = self.offer_half.dim
        if self.customer_half.dim != width or self.pair.shape != (width, self.inputs.width):
            raise BadModel(f"halves of {self.customer_half.dim} and {width} units do not fit {self.pair.shape}")
        if not 0 <= 2 * self.crossed < width:
            raise BadModel(f"{width} units cannot have {self.crossed} products")
        units = width - self.crossed - 1
        for number, layer in enumerate(self.layers):
            if layer.weight.shape != (len(layer.bias), units):
                raise BadModel(f"layer {number} must be ({len(layer.bias)}, {units}), got {layer.weight.shape}")
            units = layer.units
        if units != 1:
            raise BadModel(f"a network must end in one unit, got {units}")

    @property
    def kind(self) -> str:
        """See Reranker."""
        return "network"

    def offers_of(self, encoded: Inputs) -> OfferSide:
        """See Reranker."""
        return OfferSide({**self.inputs.offer_arrays(encoded), "half": self.offer_half.outputs(encoded)})

    def scores_of_columns(self, encoded: Inputs, columns: Floats, shortlisted: Shortlisted, side: OfferSide) -> Floats:
        """See PairScorer."""
        half = self.customer_half.outputs(encoded)
        scores = np.empty(len(shortlisted))
        for start in range(0, len(scores), _BLOCK_PAIRS):
            stop = min(start + _BLOCK_PAIRS, len(scores))
            part = shortlisted.part(start, stop)
            first = self._first_layer(half, side.arrays["half"], columns[start:stop], part)
            scores[start:stop] = self._rest(first).reshape(-1)[: stop - start]
        return scores

    def _first_layer(self, mine: Floats, theirs: Floats, columns: Floats, part: Shortlisted) -> Floats:
        """Return (T, 64, W): products of matrices are taken over tiles, see `core.towers.tower`."""
        pairs, width = len(part), mine.shape[1]
        tiles = -(-pairs // TILE_ROWS)
        padded = np.zeros((tiles * TILE_ROWS, columns.shape[1]))
        padded[:pairs] = columns
        sums = padded.reshape(tiles, TILE_ROWS, -1) @ self.pair.T
        flat = sums.reshape(-1, width)[:pairs]
        flat += mine.take(part.request, axis=0)
        flat += theirs.take(part.offer, axis=0)
        return sums

    def _rest(self, first: Floats) -> Floats:
        """Return (T, 64, 1)."""
        crossed = self.crossed
        hidden = np.empty((*first.shape[:2], first.shape[2] - crossed - 1))
        np.multiply(first[..., :crossed], first[..., crossed : 2 * crossed], out=hidden[..., :crossed])
        np.maximum(first[..., 2 * crossed : -1], 0.0, out=hidden[..., crossed:])
        for layer in self.layers:
            hidden = run_layer(layer, hidden)
        return hidden + first[..., -1:]

    def structure(self) -> dict[str, Any]:
        """See Reranker."""
        return {
            "kind": self.kind,
            "inputs": self.inputs.structure(),
            "customer_half": self.customer_half.structure(),
            "offer_half": self.offer_half.structure(),
            "crossed": self.crossed,
            "activations": [layer.activation for layer in self.layers],
        }

    def tensors(self) -> dict[str, Any]:
        """See Reranker."""
        arrays = {"pair": self.pair, **self.inputs.tensors()}
        for name, half in (("customer_half", self.customer_half), ("offer_half", self.offer_half)):
            arrays |= {f"{name}.{part}": array for part, array in half.tensors().items()}
        for number, layer in enumerate(self.layers):
            arrays[f"layers.{number}.weight"], arrays[f"layers.{number}.bias"] = layer.weight, layer.bias
        return arrays
