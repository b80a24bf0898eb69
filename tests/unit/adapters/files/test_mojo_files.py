"""MOJOs read without a JVM."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from stream_scorer.adapters.files.mojo_files import read_mojo
from stream_scorer.core.towers.h2o_network import H2oCategory
from stream_scorer.errors import BadModel, UsageError
from tests.h2o_samples import network, write_mojo


@pytest.mark.parametrize("standardised", [True, False])
@pytest.mark.parametrize("activation", ["Rectifier", "MaxoutWithDropout"])
def test_a_network_is_read_as_written(tmp_path: Path, activation: str, standardised: bool) -> None:
    net = network(activation=activation, standardised=standardised)
    read = read_mojo(write_mojo(tmp_path / "m.zip", net))
    for name in (
        "categories",
        "numbers",
        "offsets",
        "norm_mul",
        "norm_sub",
        "use_all_factor_levels",
        "activation",
        "dropout",
        "version",
    ):
        assert getattr(read, name) == getattr(net, name), name
    for mine, theirs in zip((*read.weights, *read.biases), (*net.weights, *net.biases), strict=True):
        assert np.array_equal(mine.astype(np.float32), theirs.astype(np.float32))


def test_levels_are_unescaped(tmp_path: Path) -> None:
    made = write_mojo(tmp_path / "m.zip", network(), levels={1: "a\\\\nb\ntwo\\nlines\n"})
    assert read_mojo(made).categories[1] == H2oCategory("colour", ("a\\nb", "two\nlines"))


def test_levels_of_old_mojos_stay_escaped(tmp_path: Path) -> None:
    made = write_mojo(tmp_path / "m.zip", network(), {"escape_domain_values": None}, levels={1: "a\\\\nb\nsecond\n"})
    assert read_mojo(made).categories[1].levels == ("a\\\\nb", "second")


def test_levels_other_than_announced_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="the offsets are"):
        read_mojo(write_mojo(tmp_path / "m.zip", network(), levels={1: "only\n"}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"algo": "gbm"}, "must be of a deep learning model, got gbm"),
        ({"category": "AutoEncoder"}, "autoencoder"),
        ({"_genmodel_encoding": "Eigen"}, "got Eigen"),
        ({"activation": None}, "lacks 'activation'"),
        ({"bias_layer0": "[]"}, "weights do not make 0 rows"),
        ({"weight_layer0": "[1.0, "}, "cannot be read"),
        ({"bias_layer1": "[NaN, 0.0, 0.0]"}, "not finite"),
    ],
)
def test_an_irreproducible_mojo_is_refused(tmp_path: Path, changes: dict[str, str | None], words: str) -> None:
    with pytest.raises(BadModel, match=words):
        read_mojo(write_mojo(tmp_path / "m.zip", network(), changes))


def test_other_files_are_no_archive(tmp_path: Path) -> None:
    (tmp_path / "m.zip").write_text("no zip")
    with pytest.raises(UsageError, match="is not a MOJO"):
        read_mojo(tmp_path / "m.zip")


def test_an_archive_without_a_model_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.zip", "w"):
        pass
    with pytest.raises(BadModel, match=r"has no model\.ini"):
        read_mojo(tmp_path / "m.zip")
