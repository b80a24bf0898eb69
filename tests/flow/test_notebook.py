"""The example notebook runs from top to bottom, as Jupyter would run it, in the folder that the tutorial leaves."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from stream_scorer.adapters.files.model_files import write_model
from stream_scorer.adapters.local.own_command import without_settings
from stream_scorer.core.features.spec import Category, FeatureSpec, Input, Number, Side
from stream_scorer.core.towers.model import model_of_towers
from stream_scorer.core.towers.tower import Layer, Tower

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "rank_in_a_notebook.ipynb"
OFFERS = "offer_id,kind,price\ntea,drink,2.0\nsoup,food,6.0\nsalad,food,7.5\ncookie,sweet,1.5\ncake,sweet,4.5\n"
RUN = """
import json, pathlib, sys
cells = json.loads(pathlib.Path(sys.argv[1]).read_text())["cells"]
names = {"__name__": "__main__"}
for cell in cells:
    if cell["cell_type"] == "code":
        exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
"""


def tower(side: Side, *features: Input) -> Tower:
    rng, spec = np.random.default_rng(len(features)), FeatureSpec(side, features)
    width = 3 * len(spec.slots) + spec.numbers
    table = rng.normal(size=(spec.table_rows, 3)).astype(np.float32)
    return Tower(spec, table, "concat", (Layer(rng.normal(size=(4, width)), rng.normal(size=4)),))


def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path) -> None:
    likes = Category("likes", ("drink", "food", "sweet"), buckets=2)
    kind, price = Category("kind", ("drink", "food", "sweet"), buckets=2), Number("price")
    write_model(tmp_path / "model", model_of_towers(tower("customer", likes), tower("offer", kind, price), {}))
    (tmp_path / "offers.csv").write_text(OFFERS)
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(NOTEBOOK)],
        cwd=tmp_path,
        env={**without_settings(), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "ada [('" in done.stdout
    assert "cookie is nearest to" in done.stdout


def test_the_notebook_is_stored_without_outputs() -> None:
    code = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
