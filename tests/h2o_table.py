"""Makes docs/h2o-parity.md of what the H2O tests measured: `python -m tests.h2o_table junit.xml`."""

import json
import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from pathlib import Path

KINDS = ("known and missing", "unseen", "no id", "no colour", "no rank, no score")
_OUTPUTS = re.compile(r"test_outputs_are_h2os_own\[(\w+)-(True|False)-(True|False)\]")
_CONTROL = "test_the_slot_of_missing_values_matters"
_COSINE = "test_our_dot_products_are_its_cosines"
_YES = {"True": "yes", "False": "no"}

Measured = Mapping[str, Mapping[str, str]]


def measured(path: Path) -> dict[str, dict[str, str]]:
    """Read what each test recorded."""
    cases = ET.parse(path).iter("testcase")
    return {
        str(case.get("name")): {str(one.get("name")): str(one.get("value")) for one in case.iter("property")}
        for case in cases
    }


def page(found: Measured) -> Iterator[str]:
    """Yield the document's lines. Raises KeyError for tests that did not run."""
    version = found[_CONTROL]["h2o_version"]
    yield "# H2O parity\n"
    yield (
        f"Made by `make h2o` with H2O {version}. The largest difference between the outputs of an exported "
        "tower, by numpy alone, and"
    )
    yield (
        "H2O's own `deepfeatures(layer=0)`, before and after vectors are brought to length 1; as a share of "
        "the largest output where"
    )
    yield (
        "that is above 1. The tests allow 1e-9. Columns: known rows with missing values · unseen levels, "
        "far-off numbers, nothing at all"
    )
    yield "· without the column of ids, of colours, of rank and score.\n"
    yield "| activation | all factor levels | standardised | " + " | ".join(KINDS) + " |"
    yield "| --- | --- | --- |" + " --- |" * len(KINDS)
    for name, properties in found.items():
        if (parts := _OUTPUTS.fullmatch(name)) is not None:
            activation, use_all, standardised = parts.groups()
            yield f"| {activation} | {_YES[use_all]} | {_YES[standardised]} | {_row(properties)} |"
    yield f"| **negative control**: the slot of missing values zeroed, tanh | yes | yes | {_row(found[_CONTROL])} |\n"
    cosine = float(found[_COSINE]["difference"])
    yield (
        "Cosines of 40 customers and 40 offers, computed in the JVM, differ from our dot products by "
        f"{cosine:.1e} at most."
    )


def _row(properties: Mapping[str, str]) -> str:
    differences = json.loads(properties["differences"])
    return " | ".join(f"{differences[kind]:.1e}" for kind in KINDS)


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in page(measured(Path(sys.argv[1]))))
