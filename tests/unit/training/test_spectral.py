"""Vectors from a decomposition: numpy's, in the order of dot products, the same every time, and searched by a judge."""

import numpy as np
import torch

from stream_scorer.training.spectral import SMOOTHING, AcceptedMatrix, Spectrum, VectorForm, best_form

CPU = torch.device("cpu")


def world(customers: int = 30, offers: int = 20, seed: int = 1) -> tuple[AcceptedMatrix, np.ndarray]:
    """Draw who accepted what, as pairs and as a table of 0 and 1."""
    table = np.random.default_rng(seed).random((customers, offers)) < 0.3
    table[:, -1] = False
    customer, offer = np.nonzero(table)
    return AcceptedMatrix(customer, offer, customers, offers), table.astype(np.float64)


def test_complete_decomposition_equals_numpys() -> None:
    matrix, table = world()
    smoothed = table / np.sqrt((table.sum(1, keepdims=True) + SMOOTHING) * (table.sum(0) + SMOOTHING))
    found = Spectrum(matrix, rank=19, seed=1, device=CPU)
    np.testing.assert_allclose(found.values, np.linalg.svd(smoothed)[1][:19], atol=1e-5)
    product = (found.customers * found.values) @ found.offers.T
    np.testing.assert_allclose(product, smoothed, atol=1e-5)


def test_leading_vectors_leave_out_the_rest() -> None:
    matrix, _ = world()
    whole, part = (Spectrum(matrix, rank=rank, seed=1, device=CPU) for rank in (19, 4))
    np.testing.assert_allclose(part.values, whole.values[:4], atol=1e-4)
    assert abs(whole.left_out) < 1e-5 < part.left_out < 1


def test_cosines_keep_the_order_of_dot_products() -> None:
    found = Spectrum(world()[0], rank=8, seed=1, device=CPU)
    users, items = found.tables(VectorForm(8, damping=1.0, appeal=0.5))
    lengths = torch.cat([users, items]).norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones(50))
    products = (found.customers * found.values) @ (found.offers * found.accepted[:, None].sqrt()).T
    assert torch.equal((users @ items[:-1].T).argsort(dim=1), products[:, :-1].argsort(dim=1))


def test_long_tail_of_offers_is_no_collapse() -> None:
    customer, offer = np.arange(300), np.r_[np.zeros(100), np.arange(1, 201)].astype(np.int64)
    _, items = Spectrum(AcceptedMatrix(customer, offer, 300, 5_000), rank=2, seed=1, device=CPU).tables(VectorForm(2))
    assert float(items.mean(dim=0).norm()) < 0.8


def test_the_same_seed_gives_the_same_bytes() -> None:
    matrix, _ = world()
    first, again = (Spectrum(matrix, rank=4, seed=7, device=CPU).tables(VectorForm(4)) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


def test_an_offer_nobody_accepted_scores_nothing() -> None:
    users, items = Spectrum(world()[0], rank=4, seed=1, device=CPU).tables(VectorForm(4))
    torch.testing.assert_close(users @ items[-1], torch.zeros(30))


def test_a_customer_without_acceptances_gets_the_mean() -> None:
    matrix, _ = world()
    others = matrix.customer > 0
    alone = AcceptedMatrix(matrix.customer[others], matrix.offer[others], 30, 20)
    users, _ = Spectrum(alone, rank=4, seed=1, device=CPU).tables(VectorForm(4))
    mean = users[1:].mean(dim=0)
    torch.testing.assert_close(users[0], mean / mean.norm())


def test_search_goes_on_while_figures_improve() -> None:
    wanted = VectorForm(512, damping=1.5, appeal=0.3)
    found = best_form(lambda form: 1 / (2 + abs(np.log2(form.rank / 512)) + distance(form, wanted)), rank_max=512)
    assert found == wanted


def test_gains_by_luck_are_left() -> None:
    assert best_form(lambda form: 0.3 + form.rank * 1e-7, rank_max=512) == VectorForm(128)


def test_given_rank_stays_within_the_catalog() -> None:
    assert best_form(lambda form: form.rank, rank_max=512, rank=7).rank == 7
    assert best_form(lambda form: form.rank, rank_max=40).rank == 40


def distance(form: VectorForm, wanted: VectorForm) -> float:
    return abs(form.damping - wanted.damping) + abs(form.appeal - wanted.appeal)
