"""MOJOs read without a JVM."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from stream_scorer.adapters.mojo_files import read_mojo
from stream_scorer.core.h2o_network import H2oCategory, H2oNetwork
from stream_scorer.errors import BadModel, UsageError
from tests.h2o_samples import network

COLUMNS = ("customer_id", "colour", "price", "score", "accepted")


def write_mojo(
    path: Path, net: H2oNetwork, changes: Mapping[str, str | None] | None = None, levels: Mapping[int, str] | None = None
) -> Path:
    """Write what H2O 3.46 writes; a change to None leaves a line out."""
    info = {**_info(net), **(changes or {})}
    lines = [f"{name} = {value}" for name, value in info.items() if value is not None]
    domains = {place: "\n".join(one.levels) + "\n" for place, one in enumerate(net.categories)} | dict(levels or {}) | {4: "n\ny\n"}
    counts = {place: text.count("\n") for place, text in domains.items()}
    with zipfile.ZipFile(path, "w") as archive:
        listed = [f"{place}: {count} d00{place}.txt" for place, count in counts.items()]
        archive.writestr("model.ini", "\n".join(["[info]", *lines, "", "[columns]", *COLUMNS, "", "[domains]", *listed, ""]))
        for place, text in domains.items():
            archive.writestr(f"domains/d00{place}.txt", text)
    return path


def _info(net: H2oNetwork) -> dict[str, str]:
    units = [len(one) // (2 if net.activation.startswith("Maxout") else 1) for one in net.biases]
    layers = range(len(units))
    return {
        "h2o_version": net.version,
        "algo": "deeplearning",
        "category": "Binomial",
        "escape_domain_values": "true",
        "nums": str(len(net.numbers)),
        "cats": str(len(net.categories)),
        "cat_offsets": str(list(net.offsets)),
        "norm_mul": str(list(net.norm_mul) or None).replace("None", "null"),
        "norm_sub": str(list(net.norm_sub) or None).replace("None", "null"),
        "use_all_factor_levels": str(net.use_all_factor_levels).lower(),
        "activation": net.activation,
        "neural_network_sizes": str([net.weights[0].shape[1], *units, 2]),
        **{f"weight_layer{layer}": str(net.weights[layer].reshape(-1).tolist()) for layer in layers},
        **{f"bias_layer{layer}": str(net.biases[layer].tolist()) for layer in layers},
        "weight_layer2": "[0.0, 0.0]",
        "hidden_dropout_ratios": str([*net.dropout, 0.0]),
        "_genmodel_encoding": "AUTO",
    }


@pytest.mark.parametrize("standardised", [True, False])
@pytest.mark.parametrize("activation", ["Rectifier", "MaxoutWithDropout"])
def test_a_network_is_read_as_it_was_written(tmp_path: Path, activation: str, standardised: bool) -> None:
    net = network(activation=activation, standardised=standardised)
    read = read_mojo(write_mojo(tmp_path / "m.zip", net))
    for name in ("categories", "numbers", "offsets", "norm_mul", "norm_sub", "use_all_factor_levels", "activation", "dropout", "version"):
        assert getattr(read, name) == getattr(net, name), name
    for mine, theirs in zip((*read.weights, *read.biases), (*net.weights, *net.biases), strict=True):
        assert np.array_equal(mine.astype(np.float32), theirs.astype(np.float32))


def test_levels_are_unescaped(tmp_path: Path) -> None:
    made = write_mojo(tmp_path / "m.zip", network(), levels={1: "a\\\\nb\ntwo\\nlines\n"})
    assert read_mojo(made).categories[1] == H2oCategory("colour", ("a\\nb", "two\nlines"))


def test_levels_of_old_mojos_are_taken_as_they_are(tmp_path: Path) -> None:
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
def test_a_mojo_that_cannot_be_reproduced_is_refused(tmp_path: Path, changes: dict[str, str | None], words: str) -> None:
    with pytest.raises(BadModel, match=words):
        read_mojo(write_mojo(tmp_path / "m.zip", network(), changes))


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.zip").write_text("no zip")
    with pytest.raises(UsageError, match="is not a MOJO"):
        read_mojo(tmp_path / "m.zip")


def test_an_archive_without_a_model_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.zip", "w"):
        pass
    with pytest.raises(BadModel, match=r"has no model\.ini"):
        read_mojo(tmp_path / "m.zip")
