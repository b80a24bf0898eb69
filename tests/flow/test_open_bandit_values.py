"""What each of two policies earns, estimated from the other's log: the Open Bandit Dataset, campaign "men"."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream_scorer.adapters.files.example_files import ExampleFiles
from stream_scorer.adapters.files.open_bandit import OpenBandit
from stream_scorer.core.evaluation.judging import judge_all
from stream_scorer.core.evaluation.policy_value import PolicyTable, policy_value
from stream_scorer.core.wire.codec import encode
from tests.open_bandit_policies import at_random, thompson
from tests.open_bandit_samples import write_log


def campaign(name: str) -> OpenBandit:
    """Open a log of the data set, at OPEN_BANDIT_DIR or beside the checkout: we do not ship data that are not ours."""
    named = os.environ.get("OPEN_BANDIT_DIR")
    folder = (Path(named) if named else Path(__file__).parents[3] / "shared" / "data" / "open-bandit") / name
    if not folder.is_dir():
        pytest.skip(f"the Open Bandit Dataset is not at {folder}: set OPEN_BANDIT_DIR to the folder that holds {name}")
    return OpenBandit.at(folder)


def estimated(log: OpenBandit, policy: PolicyTable, folder: Path) -> dict[str, Any]:
    (folder / "labels.jsonl").write_bytes(b"".join(encode(example) + b"\n" for example in log.examples()))
    labels = ExampleFiles.at(folder / "labels.jsonl")
    judged = judge_all(log.offers(), labels)
    found = policy_value(judged, policy, np.random.default_rng(0), ess_min=100.0, weight_max=1e9)
    assert found is not None
    return found.to_json()


def test_the_logging_policy_earns_what_was_logged(tmp_path: Path) -> None:
    log = OpenBandit.at(write_log(tmp_path / "small", rows=300, clicks=30))
    found = estimated(log, at_random(log.offers()), tmp_path)
    assert found["effective_sample_size"] == pytest.approx(300)
    for name in ("logged", "ips", "snips"):
        assert found[name]["value"] == pytest.approx(0.1), name


# Figures of the same files that other code measured: value and interval in percent, effective sample size, largest
# weight.
PUBLISHED: dict[str, dict[str, Any]] = {
    "random-men": {
        "logged": 0.460,
        "ips": (0.453, 0.249, 0.708),
        "snips": (0.460, 0.253, 0.712),
        "ess": 2470,
        "weight": 10.7,
    },
    "bts-men": {
        "logged": 0.690,
        "ips": (0.301, 0.169, 0.464),
        "snips": (0.319, 0.176, 0.498),
        "ess": 656,
        "weight": 178,
    },
}


@pytest.mark.may_skip
@pytest.mark.parametrize("name", PUBLISHED)
def test_values_are_those_measured_elsewhere(tmp_path: Path, name: str) -> None:
    log, expected = campaign(name), PUBLISHED[name]
    policy = (thompson if name == "random-men" else at_random)(log.offers())
    found = estimated(log, policy, tmp_path)
    assert 100 * found["logged"]["value"] == pytest.approx(expected["logged"])
    assert found["effective_sample_size"] == pytest.approx(expected["ess"], rel=0.02)  # the policy's draws differ
    assert found["largest_weight"] == pytest.approx(expected["weight"], rel=0.01)
    for estimator in ("ips", "snips"):
        value, low, high = (100 * found[estimator][part] for part in ("value", "low", "high"))
        assert value == pytest.approx(expected[estimator][0], abs=0.005), estimator
        assert (low, high) == pytest.approx(expected[estimator][1:], abs=0.03), estimator  # resamples differ


@pytest.mark.may_skip
def test_reward_models_come_near_those_measured_elsewhere(tmp_path: Path) -> None:
    log = campaign("random-men")
    found = estimated(log, thompson(log.offers()), tmp_path)
    assert 100 * found["direct"]["value"] == pytest.approx(0.484, rel=0.05)
    assert 100 * found["doubly_robust"]["value"] == pytest.approx(0.463, rel=0.05)
    assert 100 * found["doubly_robust"]["low"] == pytest.approx(0.262, abs=0.03)
    assert 100 * found["doubly_robust"]["high"] == pytest.approx(0.711, abs=0.03)
