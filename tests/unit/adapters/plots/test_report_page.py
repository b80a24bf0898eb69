"""An evaluation's page: pictures where there is something to draw, else text, and nothing from elsewhere."""

import re
from base64 import b64decode
from dataclasses import replace

import numpy as np
import pytest

from stream_scorer.adapters.plots.report_page import report_page
from stream_scorer.core.datasets.chunks import Views
from stream_scorer.core.evaluation.figures import Evaluation
from stream_scorer.core.evaluation.policies import ModelPolicy
from stream_scorer.services.learning.evaluator import EvaluateOptions, OffPolicyOptions, evaluate_model
from tests.example_samples import Chunks, chunk
from tests.release_samples import model, offer

OFFERS = [offer(number) for number in range(6)]


def evaluated(*, accepted: float, propensity: float, ess_min: float = 10.0) -> Evaluation:
    rng = np.random.default_rng(0)
    customers = Views([f"c-{number}" for number in range(40)], [{"price": float(number % 7)} for number in range(40)])
    offers = Views([one.offer_id for one in OFFERS], [one.features for one in OFFERS])
    rows = [(int(rng.integers(40)), int(rng.integers(6)), int(rng.random() < accepted)) for _ in range(600)]
    labels = Chunks((chunk(customers, offers, rows, propensity=np.full(600, propensity)),))
    options = EvaluateOptions(
        k=3, held_out=0.5, seed=0, off_policy=OffPolicyOptions(ModelPolicy(0.5, 0.5, 6), ess_min, 1e9)
    )
    return evaluate_model(model(1), OFFERS, labels, None, options)


@pytest.fixture(scope="module")
def report() -> Evaluation:
    return evaluated(accepted=0.4, propensity=1 / 6)


@pytest.fixture(scope="module")
def page(report: Evaluation) -> str:
    return report_page(report)


def test_every_picture_is_in_the_page_itself(page: str) -> None:
    pictures = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', page)
    assert len(pictures) == 5
    assert all(b"</svg>" in b64decode(one) for one in pictures)
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_the_page_has_all_figures(page: str) -> None:
    for words in (
        "nDCG@3, all",
        "MAP@3, all",
        "precision@3, all",
        "Coverage",
        "log loss",
        "doubly robust",
        "Effective sample size",
    ):
        assert words in page, words


def test_the_same_report_gives_the_same_page(report: Evaluation, page: str) -> None:
    assert report_page(report) == page


def test_nothing_to_draw_is_stated() -> None:
    page = report_page(evaluated(accepted=0.0, propensity=np.nan))
    assert "<img" not in page
    for words in (
        "No acceptance can be judged",
        "Too few labels of either kind",
        "The labels have no propensities",
    ):
        assert words in page


def test_figures_beyond_comparison_are_greyed(report: Evaluation) -> None:
    page = report_page(replace(report, incomparable="ranked by this very model", cautions=("ranked by <it>",)))
    assert page.count('<div class="tile greyed">') == 2
    assert '<div class="tile better">' not in page.partition("off-policy")[0]
    assert "<span>ranked by this very model</span>" in page
    assert "Caution: ranked by &lt;it&gt;." in page


def test_a_table_has_no_model_figures(report: Evaluation) -> None:
    page = report_page(replace(report, model=None))
    assert "Evaluation of a table of probabilities" in page
    assert "Off-policy" in page
    assert "Calibration" not in page


def test_a_refused_estimate_says_why() -> None:
    section = report_page(evaluated(accepted=0.4, propensity=1 / 6, ess_min=1e6))
    assert "Refused: the effective sample size is" in section
