"""Reads MOJOs, the zip archives in which H2O exports models, without a JVM.

`model.ini` is text; each `domains/*.txt` lists the levels of a category, a level a line. Only deep learning models are
read; which versions of H2O can export them is for H2O to decide. Source: h2o-3, ModelMojoReader.java and
DeeplearningMojoReader.java.
"""

import json
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stream_scorer.adapters.tables.unpacked import check_archive
from stream_scorer.core.features.spec import Floats
from stream_scorer.core.towers.h2o_network import H2oCategory, H2oNetwork
from stream_scorer.errors import BadModel, UsageError

MODEL = "model.ini"
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def read_mojo(path: Path) -> H2oNetwork:
    """Read a MOJO. Raises UsageError for a file that is not a MOJO, BadModel for a model that cannot be reproduced."""
    if not path.is_file():
        raise UsageError(f"{path} is not a file: a MOJO is a zip archive")
    try:
        with zipfile.ZipFile(path) as archive:
            check_archive(path, archive)
            ini = _ini(_text(archive, MODEL))
            _check_kind(ini.values)
            return _network(ini, _levels(archive, ini))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise UsageError(f"{path} is not a MOJO: {error}") from error
    except KeyError as error:
        raise BadModel(f"the MOJO {path} lacks {error.args[0]!r}") from error
    except (ValueError, IndexError, OverflowError, RecursionError) as error:  # bad numbers, or text that is not UTF-8
        raise BadModel(f"the MOJO {path} cannot be read: {error}") from error


@dataclass(frozen=True, slots=True)
class _Ini:
    """The three sections of `model.ini`."""

    values: dict[str, str]
    columns: list[str]
    domains: dict[int, tuple[int, str]]  # by column: the number of levels, and their file


def _ini(text: str) -> _Ini:
    sections: dict[str, list[str]] = {"info": [], "columns": [], "domains": []}
    current = sections["info"]
    for line in text.split("\n"):  # splitlines would also split at separators that a column's name may contain
        stripped = line.strip()
        if stripped in ("[info]", "[columns]", "[domains]"):
            current = sections[stripped[1:-1]]
        elif stripped:
            current.append(stripped)
    values = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in sections["info"])}
    return _Ini(values, sections["columns"], dict(_domain(line) for line in sections["domains"]))


def _domain(line: str) -> tuple[int, tuple[int, str]]:
    column, _, rest = line.partition(":")
    count, _, name = rest.strip().partition(" ")
    return int(column), (int(count), name)


def _check_kind(values: Mapping[str, str]) -> None:
    if values["algo"] != "deeplearning":
        raise BadModel(f"the MOJO must be of a deep learning model, got {values['algo']}")
    if values["category"] == "AutoEncoder":
        raise BadModel("the MOJO is of an autoencoder: it has learned nothing of what is accepted")


def _levels(archive: zipfile.ZipFile, ini: _Ini) -> list[tuple[str, ...]]:
    """Return the levels of each category; the levels of the response are not needed."""
    escaped = ini.values.get("escape_domain_values") == "true"
    levels_of = []
    for column in range(int(ini.values["cats"])):
        count, name = ini.domains[column]
        levels = _text(archive, f"domains/{name}").removesuffix("\n").split("\n") if count else []
        if len(levels) != count:
            raise BadModel(f"column {ini.columns[column]!r} must have {count} levels, domains/{name} has {len(levels)}")
        levels_of.append(tuple(map(_unescaped, levels) if escaped else levels))
    return levels_of


def _network(ini: _Ini, levels: Sequence[tuple[str, ...]]) -> H2oNetwork:
    values = ini.values
    cats, nums = int(values["cats"]), int(values["nums"])
    sizes = [int(one) for one in _array(values["neural_network_sizes"])]
    hidden = range(len(sizes) - 2)  # the sizes also count the input and the output layer
    biases = [np.array(_array(values[f"bias_layer{layer}"])) for layer in hidden]
    return H2oNetwork(
        categories=tuple(H2oCategory(name, own) for name, own in zip(ini.columns[:cats], levels, strict=True)),
        numbers=tuple(ini.columns[cats : cats + nums]),
        offsets=tuple(int(one) for one in _array(values["cat_offsets"])),
        norm_mul=tuple(_array(values.get("norm_mul", "null"))),
        norm_sub=tuple(_array(values.get("norm_sub", "null"))),
        use_all_factor_levels=values["use_all_factor_levels"] == "true",
        activation=values["activation"],
        dropout=tuple(_array(values["hidden_dropout_ratios"])[: len(hidden)]),
        encoding=values.get("_genmodel_encoding", "AUTO"),
        weights=tuple(
            _matrix(values[f"weight_layer{layer}"], len(bias)) for layer, bias in zip(hidden, biases, strict=True)
        ),
        biases=tuple(biases),
        version=values["h2o_version"],
    )


def _matrix(text: str, rows: int) -> Floats:
    # Java prints the shortest decimal of a float32, so only rounding to float32 gives back H2O's exact weight.
    flat = np.array(_array(text), np.float32).astype(np.float64)
    if not rows or len(flat) % rows:
        raise BadModel(f"{len(flat)} weights do not make {rows} rows")
    return flat.reshape(rows, -1)


def _array(text: str) -> list[float]:
    """Read an array such as `[1.0, 2.0]`, as Java prints it; `null` is an empty array. Raises BadModel for others."""
    if text == "null":
        return []
    found = json.loads(text)  # also reads NaN and Infinity, which H2oNetwork refuses
    if not isinstance(found, list):
        raise BadModel(f"expected numbers in brackets, got {text[:40]!r}")
    return [float(one) for one in found]


def _text(archive: zipfile.ZipFile, name: str) -> str:
    try:
        info = archive.getinfo(name)
    except KeyError as error:
        raise BadModel(f"the MOJO has no {name}") from error
    return archive.read(info).decode()


def _unescaped(level: str) -> str:
    # A single pass: two replacements after each other would take the second half of an escaped backslash for an escape.
    return _ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], level)
