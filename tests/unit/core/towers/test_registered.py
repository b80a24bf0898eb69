"""Names of registered models, and what of a model's facts a registry shows."""

import pytest

from stream_scorer.core.towers.registered import (
    METRICS_MAX,
    RegisteredName,
    metrics_of,
    params_of,
    registered_name,
)
from stream_scorer.errors import UsageError


def test_a_name_has_a_version_or_alias() -> None:
    assert registered_name("models:/ranker/3") == RegisteredName("ranker", "3", None)
    assert registered_name("models:/ranker@champion") == RegisteredName("ranker", None, "champion")


@pytest.mark.parametrize("uri", ["models:/ranker", "models:/ranker/x", "models:/a/b/1", "models:/a@b@c", "ranker/1"])
def test_any_other_name_is_refused(uri: str) -> None:
    with pytest.raises(UsageError, match=rf"models:/NAME/VERSION or models:/NAME@ALIAS, got {uri}"):
        registered_name(uri)


def test_facts_become_metrics_and_params() -> None:
    facts = {"rows": 3, "engine": "torch", "refit": True, "auc": {"a=b": 0.5, "nan": float("nan")}, "history": [1]}
    assert metrics_of(facts) == {"rows": 3.0, "auc.a_b": 0.5}
    assert params_of(facts) == {"engine": "torch", "refit": "True"}


@pytest.mark.parametrize("name", ["..", "/etc", "a/../b", "größe", ""])
def test_names_are_none_that_mlflow_refuses(name: str) -> None:
    (shown,) = metrics_of({name: 1})
    assert shown.isascii()
    assert not {".", "/"} & set(shown)
    assert shown


def test_metrics_and_their_names_are_bounded() -> None:
    shown = metrics_of({f"{number}" * 300: 1 for number in range(METRICS_MAX + 9)})
    assert len(shown) <= METRICS_MAX
    assert max(map(len, shown)) <= 250
