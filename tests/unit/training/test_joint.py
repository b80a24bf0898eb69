"""Joint training: it learns what is there, repeats itself, and refuses towers that must not serve."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch

from stream_scorer.core.datasets.chunks import Views
from stream_scorer.core.datasets.training_set import TrainingSet
from stream_scorer.core.features.spec import FeatureSpec
from stream_scorer.core.messages import Offer
from stream_scorer.errors import BadModel, UsageError
from stream_scorer.services.learning.trainer import read_lesson, train_model
from stream_scorer.training.export import (
    PARITY_MAX,
    check_apart,
    export,
    fill_untrained,
    golden_rows,
    parity,
    sample_vectors,
)
from stream_scorer.training.joint import fit
from stream_scorer.training.lesson import Fitted, Lesson
from stream_scorer.training.objective import AcceptanceHead, Objective
from stream_scorer.training.options import TrainOptions
from stream_scorer.training.towers.batches import Batch, IdDropout
from stream_scorer.training.towers.tower_module import TowerModule
from tests.example_samples import Chunks, snacks, tastes_meet

QUICK = TrainOptions(dim=8, width=4, epochs=4, batch_rows=256, learning_rate=0.02, customer_id="on", offer_id="on")


def built(source: Chunks, options: TrainOptions = QUICK) -> tuple[TrainingSet, FeatureSpec, FeatureSpec]:
    lesson = read_lesson(source, snacks(), options)
    return lesson.data, lesson.user_spec, lesson.item_spec


def fitted(source: Chunks, options: TrainOptions = QUICK) -> tuple[TrainingSet, Fitted]:
    lesson = Lesson(*built(source, options))
    return lesson.data, fit(lesson, options, report=lambda epoch: None)


def own_taste_wins(data: TrainingSet, done: Fitted) -> float:
    """Return the share of customers whose best four offers are the four of their taste."""
    users = done.user.export().forward(data.customers.inputs(np.arange(len(data.customers))))
    items = done.item.export().forward(data.catalog.inputs(np.arange(12)))
    best = np.argsort(-(users @ items.T), axis=1)[:, :4] % 3
    return float((best == np.arange(len(users))[:, None] % 3).all(axis=1).mean())


@pytest.mark.parametrize("only_accepted", [False, True])
def test_towers_learn_which_tastes_meet(only_accepted: bool) -> None:
    data, done = fitted(tastes_meet(only_accepted=only_accepted), replace(QUICK, epochs=10))
    assert done.recipe.objective == ("catalog" if only_accepted else "shown")
    assert own_taste_wins(data, done) > 0.95


def test_large_catalogs_are_learned_from_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_scorer.training.objective.FULL_CATALOG_MAX", 5)
    monkeypatch.setattr("stream_scorer.training.objective.SAMPLED", 4)
    data, done = fitted(tastes_meet(only_accepted=True), replace(QUICK, epochs=10))
    assert own_taste_wins(data, done) > 0.95


def test_equal_seeds_give_equal_towers() -> None:
    tables = [fitted(tastes_meet(600), replace(QUICK, seed=seed, epochs=1))[1].user.table for seed in (1, 1, 2)]
    assert torch.equal(tables[0], tables[1])
    assert not torch.equal(tables[0], tables[2])


def test_training_leaves_the_generator_of_torch_alone() -> None:
    before = torch.random.get_rng_state()
    fitted(tastes_meet(300), replace(QUICK, epochs=1))
    assert torch.equal(before, torch.random.get_rng_state())


def test_best_epoch_is_kept_and_training_stops() -> None:
    _, done = fitted(tastes_meet(400), replace(QUICK, epochs=200, patience=2, learning_rate=0.3))
    losses = [epoch.held_out_loss for epoch in done.epochs]
    assert done.best == 1 + int(np.argmin(np.array(losses, float)))
    assert len(losses) == done.best + 2


def test_position_explains_what_towers_need_not() -> None:
    source = tastes_meet(4_000)
    part = source.parts[0]
    rank = np.random.default_rng(1).integers(1, 3, len(part))
    seen = np.where((rank == 2) & (np.arange(len(part)) % 2 == 0), 0, part.accepted).astype(np.int8)
    _, done = fitted(Chunks((replace(part, rank=rank, accepted=seen),)), replace(QUICK, epochs=8))
    ranks = done.head.ranks.detach().numpy()
    assert ranks[1] - ranks[2] > 0.3


def test_too_few_acceptances_are_refused_by_number() -> None:
    part = tastes_meet(100).parts[0]
    with pytest.raises(UsageError, match="at least 2 accepted rows, got 0 among 100"):
        fitted(Chunks((replace(part, accepted=np.zeros(100, np.int8)),)))


def test_each_tower_alone_learns_no_common_space() -> None:
    data, done = fitted(tastes_meet(), replace(QUICK, objective="separate", epochs=10, prior=0.0))
    assert done.recipe.objective == "separate"
    assert own_taste_wins(data, done) < 0.7
    assert (done.user.export().outputs(data.customers.inputs(np.arange(60))) >= 0).all()


def test_refitting_learns_from_held_out_rows_too() -> None:
    data, done = fitted(tastes_meet(), replace(QUICK, refit=True))
    assert done.measured is not None
    assert len(done.held_out) > 0
    inputs = data.customers.inputs(np.arange(60))
    assert not np.allclose(done.user.export().forward(inputs), done.measured[0].forward(inputs))


ID_ALONE = replace(QUICK, customer_id="on", offer_id="on", objective="catalog", epochs=30)


def ids_alone(rows: int = 6_000, *, only_accepted: bool = True) -> Chunks:
    part = tastes_meet(rows, only_accepted=only_accepted).parts[0]
    customers, offers = (Views(views.ids, [{}] * len(views.ids)) for views in (part.customers, part.offers))
    return Chunks((replace(part, customers=customers, offers=offers),))


@pytest.mark.parametrize("history", [False, True])
def test_frequent_ids_alone_are_enough(history: bool) -> None:
    bare = [Offer(offer_id=offer.offer_id, features={}) for offer in snacks()]
    lesson = read_lesson(ids_alone(), bare, ID_ALONE)
    done = fit(lesson, replace(ID_ALONE, history=history), report=lambda epoch: None)
    done.user.settle()
    done.item.settle()
    assert own_taste_wins(lesson.data, done) > 0.8
    assert done.user.export().layers == ()


def test_ids_alone_are_decomposed_twice() -> None:
    bare = [Offer(offer_id=offer.offer_id, features={}) for offer in snacks()]
    options = TrainOptions(objective="catalog", spectral="on")
    lesson = read_lesson(ids_alone(), bare, options)
    done = fit(lesson, options, report=lambda epoch: None)
    assert own_taste_wins(lesson.data, done) > 0.8
    assert (done.best_epoch.held_out_ndcg or 0.0) * 1.0021 >= max(epoch.held_out_ndcg or 0.0 for epoch in done.epochs)
    assert done.recipe.dim == done.user.export().dim == done.item.export().dim
    assert done.measured is not None
    assert not np.array_equal(done.measured[0].table, done.user.export().table)


def test_decomposition_ignores_an_earlier_model() -> None:
    bare = [Offer(offer_id=offer.offer_id, features={}) for offer in snacks()]
    options = TrainOptions(objective="catalog", spectral="on")
    first = train_model(ids_alone(), bare, options).model
    assert train_model(ids_alone(), bare, options, earlier=first).model.model_id == first.model_id


def test_ensembles_give_the_mean_of_member_cosines() -> None:
    lesson = read_lesson(ids_alone(), [Offer(offer_id=offer.offer_id, features={}) for offer in snacks()], ID_ALONE)

    def cosines(options: TrainOptions) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
        done = fit(lesson, options, report=lambda epoch: None)
        model = export(done, lesson.data.customers, lesson.data.offers, lesson.data.catalog, {})
        assert model.user_tower.dim == (options.dim or 0) * (options.members or 1)
        users = model.user_tower.forward(lesson.data.customers.inputs(np.arange(60)))
        return users @ model.item_tower.forward(lesson.data.catalog.inputs(np.arange(12))).T

    quick = replace(ID_ALONE, epochs=3)
    alone = [cosines(replace(quick, seed=seed)) for seed in (7, 8)]
    assert np.allclose(cosines(replace(quick, seed=7, members=2)), (alone[0] + alone[1]) / 2, atol=1e-6)
    assert not np.allclose(alone[0], alone[1])


def test_training_goes_on_from_an_ensemble() -> None:
    bare = [Offer(offer_id=offer.offer_id, features={}) for offer in snacks()]
    options = replace(ID_ALONE, epochs=2, members=2)
    first = train_model(ids_alone(), bare, options).model
    again = train_model(ids_alone(), bare, options, earlier=first).model
    assert (first.user_tower.dim, again.user_tower.dim) == (16, 16)
    assert again.facts["options"]["members"] == 1  # type: ignore[index]


@pytest.mark.parametrize("hidden", [(), (6,)])
def test_feature_towers_average_their_members(hidden: tuple[int, ...]) -> None:
    lesson = read_lesson(tastes_meet(400), snacks(), QUICK)
    quick = replace(QUICK, epochs=2, hidden=hidden)

    def cosines(options: TrainOptions) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
        done = fit(lesson, options, report=lambda epoch: None)
        model = export(done, lesson.data.customers, lesson.data.offers, lesson.data.catalog, {})
        users = model.user_tower.forward(lesson.data.customers.inputs(np.arange(60)))
        return users @ model.item_tower.forward(lesson.data.catalog.inputs(np.arange(12))).T

    mean = np.mean([cosines(replace(quick, seed=seed)) for seed in (7, 8, 9)], axis=0)
    together = cosines(replace(quick, seed=7, members=3))
    assert np.corrcoef(together.ravel(), mean.ravel())[0, 1] > 0.99


def test_last_epoch_not_surely_worse_is_kept() -> None:
    _, done = fitted(tastes_meet(600, only_accepted=True), replace(QUICK, epochs=30))
    found = np.array([epoch.held_out_ndcg for epoch in done.epochs], float)
    errors = np.array([epoch.held_out_ndcg_error for epoch in done.epochs])
    lowest = np.maximum.accumulate(found)
    assert done.best == 1 + int(np.flatnonzero(found + errors >= lowest)[-1])
    assert (errors > 0).any()


@pytest.mark.parametrize(("first_share", "dropped"), [(1.0, 0.5), (0.6, 0.3), (0.1, 0.1)])
def test_fewer_ids_are_dropped_where_acceptances_repeat(first_share: float, dropped: float) -> None:
    lesson = Lesson(*built(tastes_meet(300)))
    modules = [TowerModule(spec, width=2, hidden=(), dim=4) for spec in (lesson.user_spec, lesson.item_spec)]
    recipe = replace(lesson.recipe(replace(QUICK, objective="catalog")), first_share=first_share)
    head, learned = AcceptanceHead(dim=4, temperature=1.0, rate=0.5), np.flatnonzero(lesson.data.accepted)[:5]
    objective = Objective(lesson.data, modules[0], modules[1], head, recipe=recipe, learned=learned)
    assert objective.item_dropout.share == pytest.approx(dropped)  # of 12 offers, 7 or more were never accepted


def surprise(drawn: torch.Tensor | None) -> float:
    """Return the loss of two offers that one customer accepted, of three offers with the logits 1, 2 and 0."""
    lesson = Lesson(*built(tastes_meet(300)))
    modules = [TowerModule(spec, width=2, hidden=(), dim=4) for spec in (lesson.user_spec, lesson.item_spec)]
    objective = Objective(
        lesson.data,
        modules[0],
        modules[1],
        AcceptanceHead(dim=4, temperature=1.0, rate=0.5),
        recipe=lesson.recipe(replace(QUICK, objective="catalog")),
        learned=np.arange(len(lesson.data)),
    )
    return float(objective._surprise(torch.tensor([[1.0, 2.0, 0.0]]), np.zeros(2, np.int64), np.array([0, 1]), drawn))


def test_another_acceptance_counts_less_as_an_alternative() -> None:
    first, second = np.exp(1), np.exp(2)
    assert surprise(None) == pytest.approx(
        -np.log(first / (first + 0.3 * second + 1)) - np.log(second / (second + 0.3 * first + 1))
    )


def test_sampled_softmax_corrects_all_but_the_target() -> None:
    first, second, third = np.exp(1), np.exp(2), 1 / 0.25
    expected = -np.log(first / (first + 0.3 * 2 * second + third)) - np.log(second / (second + 0.3 * 2 * first + third))
    assert surprise(torch.tensor([0.5, 0.5, 0.25]).log()) == pytest.approx(expected)


def test_missing_gpu_is_refused() -> None:
    if torch.cuda.is_available():
        return
    with pytest.raises(UsageError, match="there is no GPU"):
        fitted(tastes_meet(300), replace(QUICK, device="cuda"))


def test_numpy_equals_torch_on_golden_rows() -> None:
    data, done = fitted(tastes_meet(600), replace(QUICK, hidden=(16,), epochs=1))
    golden = golden_rows(data.customers, done.user.spec)
    assert len(golden) == 18
    assert parity(done.user, done.user.export(), golden) < PARITY_MAX


def test_towers_that_differ_from_torch_are_refused() -> None:
    data, done = fitted(tastes_meet(600), replace(QUICK, epochs=1))
    tower = done.item.export()
    changed = replace(tower, table=tower.table + np.float32(1e-3))
    done.item.export = lambda: changed  # type: ignore[method-assign]
    with pytest.raises(BadModel, match="item_tower differs from torch by"):
        export(done, data.customers, data.offers, data.catalog, {})


@pytest.mark.parametrize(("bias", "reason"), [(0.0, "is dead"), (1.0, "has collapsed"), (float("nan"), "not finite")])
def test_dead_and_collapsed_towers_are_refused(bias: float, reason: str) -> None:
    data, user_spec, _ = built(tastes_meet(300))
    module = TowerModule(user_spec, width=2, hidden=(), dim=4)
    with torch.no_grad():
        for name, weight in module.layers.named_parameters():
            weight.fill_(bias if name.endswith("bias") else 0.0)
    with pytest.raises(BadModel, match=reason):
        check_apart(sample_vectors("item_tower", module.export(), data.customers))


@pytest.mark.parametrize(("spread", "refused"), [(0.035, False), (0.001, True)])
def test_collapsed_towers_are_refused_with_advice(spread: float, refused: bool) -> None:
    data, user_spec, _ = built(tastes_meet(300))
    module = TowerModule(user_spec, width=2, hidden=(), dim=4)
    with torch.no_grad():
        module.table.normal_(std=spread, generator=torch.Generator().manual_seed(1))
        for name, weight in module.layers.named_parameters():
            weight.fill_(1.0) if name.endswith("bias") else weight.normal_(std=spread)
    with pytest.raises(BadModel, match=r"more rows .* may help") if refused else nullcontext():
        check_apart(sample_vectors("item_tower", module.export(), data.customers))


def additive(dim: int, *specs: FeatureSpec) -> list[TowerModule]:
    made = [TowerModule(spec, width=4, hidden=(), dim=dim) for spec in specs]
    for module in made:
        module.begin_additive()
    return made


def test_additive_start_ranks_by_appeal() -> None:
    _, user_spec, item_spec = built(tastes_meet(300))
    user, item = (module.export() for module in additive(8, user_spec, item_spec))
    customers = user.outputs(user.spec.encode([{"likes": "sweet", "age": 3.0}, {}], ["", ""]))
    offers = item.outputs(item.spec.encode([offer.features for offer in snacks()], [""] * 12))
    assert customers[:, 0].tolist() == [1.0, 1.0]
    assert offers[:, 1].tolist() == [1.0] * 12
    assert len(set(offers[:, 0].tolist())) == 12


@pytest.mark.parametrize("direct", [False, True])
def test_customers_part_of_the_appeal_stays(direct: bool) -> None:
    source = ids_alone(300, only_accepted=False) if direct else tastes_meet(300)
    data, done = fitted(source, replace(QUICK, epochs=2))
    outputs = done.user.outputs(Batch.of(data.customers, np.arange(len(data.customers))))
    assert (done.user.direct, done.recipe.additive_start) == (direct, True)
    assert torch.equal(outputs[:, 0], torch.ones(len(data.customers)))
    assert float(outputs[:, 2].detach().std()) > 0


def test_vectors_of_one_number_begin_as_ever() -> None:
    _, user_spec, _ = built(tastes_meet(300))
    (module,) = additive(1, user_spec)
    assert float(module.export().layers[-1].bias[0]) != 1.0


def test_few_acceptances_choose_no_epoch() -> None:
    _, few = fitted(tastes_meet(100), replace(QUICK, epochs=None))
    _, given = fitted(tastes_meet(100), replace(QUICK, epochs=None, patience=1))
    assert (few.best, few.recipe.chooses_epoch, given.recipe.chooses_epoch) == (16, False, True)


def test_unused_rows_become_the_used_rows_mean() -> None:
    data, user_spec, _ = built(tastes_meet(600))
    module = TowerModule(user_spec, width=2, hidden=(), dim=4)
    used = np.bincount(data.customers.rows, minlength=user_spec.table_rows)[:, None]
    before = module.table.detach().numpy().copy()
    fill_untrained(module, (data.customers,))
    first, end = user_spec.first_rows[:2]
    mean = (before[first:end] * used[first:end]).sum(axis=0) / used[first:end].sum()
    assert np.allclose(module.table.detach().numpy()[first], mean)
    assert np.array_equal(module.table.detach().numpy()[first + 1], before[first + 1])


def test_dropped_ids_take_rows_of_unseen_ids() -> None:
    data, user_spec, _ = built(tastes_meet())
    everyone = np.arange(len(data.customers))
    before = Batch.of(data.customers, everyone).rows.numpy().reshape(-1, 2)
    after = (
        IdDropout(user_spec, 1.0)(Batch.of(data.customers, everyone), np.random.default_rng(0))
        .rows.numpy()
        .reshape(-1, 2)
    )
    slot = user_spec.slots[0]
    assert slot.name == "customer_id"
    assert (after[:, 0] > len(slot.vocabulary)).all()
    assert np.array_equal(before[:, 1], after[:, 1])


@pytest.mark.parametrize(
    ("name", "value"), [("dim", 0), ("epochs", 0), ("held_out", 0.9), ("learning_rate", float("nan")), ("threads", -1)]
)
def test_options_out_of_bounds_name_the_bounds(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"{name} must be between .* got {value}"):
        replace(QUICK, **{name: value})  # type: ignore[arg-type]
