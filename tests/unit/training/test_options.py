"""Which defaults a log gets: by what was refused, by repeats, and by how densely ids meet."""

from dataclasses import replace
from typing import Any, Literal

import pytest

from stream_scorer.core.datasets.traits import LogTraits
from stream_scorer.errors import UsageError
from stream_scorer.settings import JoinSettings
from stream_scorer.training.options import TrainOptions

ACCEPTED = LogTraits(rows=10_000, accepted=4_000, everything_accepted=True, repeats=0.0, density=0.05)
SHOWN = LogTraits(rows=10_000, accepted=4_000, everything_accepted=False, repeats=0.0, density=0.05)
REPEATED = LogTraits(rows=10_000, accepted=4_000, everything_accepted=True, repeats=0.2, density=0.05)
SPARSE = LogTraits(rows=10_000, accepted=4_000, everything_accepted=True, repeats=0.0, density=0.009)


def test_acceptances_alone_are_learned_among_the_catalog() -> None:
    assert TrainOptions().recipe(ACCEPTED, ids_alone=False).objective == "catalog"
    assert TrainOptions().recipe(SHOWN, ids_alone=False).objective == "shown"


def test_few_rows_are_learned_by_several() -> None:
    few = replace(SHOWN, rows=4_000, accepted=1_000)
    averaged = TrainOptions().recipe(few, ids_alone=False)
    assert (averaged.members, averaged.members_given) == (4, False)
    others = [replace(few, rows=4_001), replace(few, offers=10_001), replace(few, accepted=999)]
    assert [TrainOptions().recipe(log, ids_alone=False).members for log in others] == [1, 1, 1]
    assert TrainOptions().recipe(few, ids_alone=False, goes_on=True).members == 1


@pytest.mark.parametrize(("given", "members"), [({"dim": 32}, 1), ({"hidden": (8,)}, 1), ({"members": 2}, 2)])
def test_given_sizes_are_those_of_vectors(given: dict[str, Any], members: int) -> None:
    few = replace(SHOWN, rows=4_000, accepted=1_000)
    assert TrainOptions(**given).recipe(few, ids_alone=False).members == members


def test_many_rows_take_larger_steps() -> None:
    logs = [replace(SHOWN, rows=rows) for rows in (491_519, 491_520, 983_040, 10**9)]
    recipes = [TrainOptions().recipe(log, ids_alone=False) for log in logs]
    assert [recipe.batch_rows for recipe in recipes] == [2_048, 4_096, 8_192, 8_192]
    assert [recipe.learning_rate for recipe in recipes] == pytest.approx([0.004, 0.004 * 2**0.5, 0.008, 0.008])


def test_given_steps_keep_their_rate() -> None:
    many = replace(SHOWN, rows=10**7)
    assert TrainOptions(batch_rows=8_192).recipe(many, ids_alone=False).learning_rate == 0.004
    assert TrainOptions(learning_rate=0.004).recipe(many, ids_alone=False).learning_rate == 0.004
    assert TrainOptions().recipe(replace(ACCEPTED, rows=10**7), ids_alone=False).learning_rate == 0.01


def test_repeats_give_wide_ids_full_spread() -> None:
    recipe = TrainOptions().recipe(REPEATED, ids_alone=False)
    assert (recipe.width, recipe.id_spread, recipe.temperature, recipe.first_share) == (64, 1.0, 0.1, 0.8)


def test_repeats_are_refitted_in_as_many_steps() -> None:
    small, large = (
        TrainOptions().recipe(replace(REPEATED, rows=rows, offers=4_000), ids_alone=False) for rows in (10_000, 80_000)
    )
    assert (small.refit, small.epochs, small.epoch_steps_min) == (True, 40, 20)
    assert (large.refit, large.epochs, large.epoch_steps_min) == (True, 9, 89)
    assert not TrainOptions(refit=False).recipe(REPEATED, ids_alone=False).refit


def test_few_acceptances_begin_at_the_appeal() -> None:
    few = replace(SHOWN, accepted=999)
    recipe = TrainOptions().recipe(few, ids_alone=False)
    assert (recipe.additive_start, recipe.chooses_epoch) == (True, False)
    assert not TrainOptions().recipe(few, ids_alone=False, goes_on=True).additive_start
    assert not TrainOptions(hidden=(8,)).recipe(few, ids_alone=False).additive_start
    assert not TrainOptions(objective="separate").recipe(few, ids_alone=False).additive_start
    assert not TrainOptions().recipe(SHOWN, ids_alone=False).additive_start
    assert TrainOptions(epochs=3).recipe(few, ids_alone=False).chooses_epoch


def test_without_repeats_features_speak_before_ids_do() -> None:
    recipe = TrainOptions().recipe(ACCEPTED, ids_alone=False)
    assert (recipe.width, recipe.id_spread, recipe.temperature) == (16, 0.05, 0.2)


@pytest.mark.parametrize(("log", "temperature"), [(ACCEPTED, 0.2), (REPEATED, 0.2), (SPARSE, 0.1)])
def test_sparse_ids_get_a_lower_temperature(log: LogTraits, temperature: float) -> None:
    assert TrainOptions().recipe(log, ids_alone=True).temperature == temperature


def test_given_options_precede_the_logs_defaults() -> None:
    recipe = TrainOptions(width=8, temperature=0.3).recipe(REPEATED, ids_alone=False)
    assert (recipe.width, recipe.temperature) == (8, 0.3)


@pytest.mark.parametrize("objective", ["shown", "separate"])
def test_acceptances_alone_await_the_window(objective: Literal["shown", "separate"]) -> None:
    minutes = JoinSettings().window_ms // 60_000
    with pytest.raises(
        UsageError, match=rf"not accepted; there are none yet: .*window_ms, {minutes} minutes by default"
    ):
        TrainOptions(objective=objective).recipe(ACCEPTED, ids_alone=False)


def test_sparse_ids_are_decomposed_on_all_rows() -> None:
    recipe = TrainOptions().recipe(SPARSE, ids_alone=True)
    assert recipe.spectral
    assert recipe.refit
    assert not TrainOptions().recipe(ACCEPTED, ids_alone=True).spectral
    assert not TrainOptions().recipe(SPARSE, ids_alone=False).spectral


@pytest.mark.parametrize(
    "given", [{"epochs": 5}, {"temperature": 0.1}, {"members": 2}, {"history": True}, {"hidden": (8,)}, {"dim": 2}]
)
def test_options_of_steps_call_for_steps(given: dict[str, Any]) -> None:
    assert not TrainOptions(**given).recipe(SPARSE, ids_alone=True).spectral
    with pytest.raises(UsageError, match=f"without steps: not with {next(iter(given))}"):
        TrainOptions(spectral="on", **given).recipe(SPARSE, ids_alone=True)


def test_only_ids_alone_can_be_decomposed() -> None:
    assert TrainOptions(spectral="on").recipe(ACCEPTED, ids_alone=True).spectral
    with pytest.raises(UsageError, match="only where both towers read an id alone"):
        TrainOptions(spectral="on").recipe(ACCEPTED, ids_alone=False)
