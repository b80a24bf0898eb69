"""Adam by torch's own function, one fused pass over each parameter."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.optim.adam import adam

_BETAS, _EPSILON = (0.9, 0.999), 1e-8


class Adam:
    """Adam (Kingma and Ba 2015, arXiv:1412.6980) with torch's defaults and a learning rate of each step's own.

    The class `torch.optim.Adam` imports torch's compiler when it is made, which takes seconds at the start of every
    training; the function that it calls does not.
    """

    def __init__(self, parameters: Iterable[Tensor], *, penalised: Iterable[Tensor] = (), penalty: float = 0.0) -> None:
        """Make both moments of each parameter, and the count of its steps, where the parameter lies.

        The loss is understood to have `penalty` times the sum of the squares of the `penalised` parameters, too; its
        gradient is added here, for the loss's own graph would pass over all of them several times.
        """
        parameters = list(parameters)
        moments = [(torch.zeros_like(one), torch.zeros_like(one), _zero(one)) for one in parameters]
        among = {id(one) for one in penalised} if penalty else set()
        both = list(zip(parameters, moments, strict=True))
        self._parameters = parameters
        self._free = [each for each in both if id(each[0]) not in among]
        self._penalised = [each for each in both if id(each[0]) in among]
        self._decay = 2 * penalty

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, rate: float | Tensor) -> None:
        """Move the parameters that have a gradient or a penalty; the others stay, as with torch's class."""
        _step([(one, one.grad, *moments) for one, moments in self._free if one.grad is not None], rate, 0.0)
        pulled = ((one, one.grad, moments) for one, moments in self._penalised)
        _step([(one, _or_zero(one, grad), *moments) for one, grad, moments in pulled], rate, self._decay)


def _step(moved: Sequence[tuple[Tensor, ...]], rate: float | Tensor, decay: float) -> None:
    """Move each parameter by its gradient, its two moments and its count."""
    if moved:
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
            weight_decay=decay,
            eps=_EPSILON,
            maximize=False,
        )


def _or_zero(parameter: Tensor, gradient: Tensor | None) -> Tensor:
    return torch.zeros_like(parameter) if gradient is None else gradient


def _zero(parameter: Tensor) -> Tensor:
    return torch.zeros((), dtype=torch.float32, device=parameter.device)
