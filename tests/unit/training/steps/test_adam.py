"""Adam moves parameters as its paper says."""

import numpy as np
import pytest
import torch

from stream_scorer.training.steps.adam import Adam


def test_steps_are_those_of_the_paper() -> None:
    generator = np.random.default_rng(0)
    parameter = torch.nn.Parameter(torch.linspace(-1, 1, 12).reshape(3, 4))
    expected, first, second = parameter.detach().numpy().astype(np.float64), np.zeros((3, 4)), np.zeros((3, 4))
    optimiser = Adam([parameter])
    for step, rate in enumerate((0.1, 0.05, 0.01), start=1):
        gradient = generator.normal(size=(3, 4))
        parameter.grad = torch.from_numpy(gradient.astype(np.float32))
        optimiser.step(rate)
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        expected = expected - rate * first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    assert parameter.detach().numpy() == pytest.approx(expected, abs=1e-6)


def test_parameters_without_a_gradient_stay() -> None:
    moved, still = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    moved.grad = torch.ones(2)
    Adam([moved, still]).step(0.5)
    assert moved.tolist() == pytest.approx([0.5, 0.5])
    assert still.tolist() == [1.0, 1.0]


def test_gradients_are_forgotten_between_steps() -> None:
    moved = torch.nn.Parameter(torch.ones(2))
    moved.grad = torch.ones(2)
    Adam([moved]).zero_grad()
    assert moved.grad is None


def test_a_penalty_pulls_as_its_gradient_would() -> None:
    by_loss, by_penalty = (torch.nn.Parameter(torch.linspace(-1, 1, 4)) for _ in range(2))
    optimisers = Adam([by_loss]), Adam([by_penalty], penalised=[by_penalty], penalty=0.3)
    for _ in range(5):
        by_loss.grad, by_penalty.grad = 1 + 0.6 * by_loss.detach(), torch.ones(4)
        for optimiser in optimisers:
            optimiser.step(0.1)
    assert by_penalty.tolist() == pytest.approx(by_loss.tolist(), abs=1e-6)


def test_penalised_parameters_need_no_gradient() -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    Adam([parameter], penalised=[parameter], penalty=1.0).step(0.5)
    assert parameter.tolist() == pytest.approx([0.5, 0.5])
