"""Adam by torch's own function, one fused pass over each parameter."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim.adam import adam

_BETAS, _EPSILON = (0.9, 0.999), 1e-8


class Adam:
    """Adam (Kingma and Ba 2015, arXiv:1412.6980) with torch's defaults and a learning rate of each step's own.

    The class `torch.optim.Adam` imports torch's compiler when it is made, which takes seconds at the start of every
    training; the function that it calls does not.
    """

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        """Make both moments of each parameter, and the count of its steps, where the parameter lies."""
        self._parameters = list(parameters)
        self._moments = [(torch.zeros_like(one), torch.zeros_like(one), _zero(one)) for one in self._parameters]

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, rate: float | Tensor) -> None:
        """Move the parameters that have a gradient; the others stay, as with torch's class."""
        both = zip(self._parameters, self._moments, strict=True)
        moved = [(one, one.grad, *moments) for one, moments in both if one.grad is not None]
        parameters, gradients, first, second, counts = map(list, zip(*moved, strict=True))
        adam(
            parameters,
            gradients,
            first,
            second,
            [],
            counts,
            fused=True,
            amsgrad=False,
            beta1=_BETAS[0],
            beta2=_BETAS[1],
            lr=rate,
            weight_decay=0.0,
            eps=_EPSILON,
            maximize=False,
        )


def _zero(parameter: Tensor) -> Tensor:
    return torch.zeros((), dtype=torch.float32, device=parameter.device)
