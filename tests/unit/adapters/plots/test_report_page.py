"""An evaluation's page: pictures where there is something to draw, else text, and nothing from elsewhere."""

import re
from base64 import b64decode
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

from stream_scorer.adapters.plots.report_page import report_page
from stream_scorer.core.datasets.chunks import Views
from stream_scorer.core.evaluation.figures import (
    Evaluation,
    GroupAuc,
    JudgedSpan,
    ModelFigures,
    StageFigure,
    TwoStages,
    Verdict,
    WholeCatalog,
    WithinCustomer,
)
from stream_scorer.core.evaluation.intervals import Interval
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
    return evaluate_model(model(1), OFFERS, labels, None, options, other=model(2))


@pytest.fixture(scope="module")
def report() -> Evaluation:
    return evaluated(accepted=0.4, propensity=1 / 6)


@pytest.fixture(scope="module")
def page(report: Evaluation) -> str:
    return report_page(report)


def test_every_picture_is_in_the_page_itself(page: str) -> None:
    pictures = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', page)
    assert len(pictures) == 11
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


@pytest.fixture(scope="module")
def bare(report: Evaluation) -> Evaluation:
    """Return a report of which no picture is drawn, since that takes the most time."""
    nothing = GroupAuc(0, None, None, None)
    within = WithinCustomer(nothing, nothing, nothing)
    assert report.model is not None
    figures = replace(report.model, whole_catalog=WholeCatalog(), within_customer=within, calibration=None)
    return replace(report, model=figures, off_policy=None)


def figures_of(report: Evaluation) -> ModelFigures:
    assert report.model is not None
    return report.model


@pytest.mark.parametrize(("customers", "kind"), [(1, "tile "), (10, "tile better")])
def test_few_customers_make_nothing_better(bare: Evaluation, customers: int, kind: str) -> None:
    model, popularity, above = (Interval(value, value, value) for value in (0.9, 0.5, 0.4))
    auc = GroupAuc(customers, model, popularity, above)
    within = replace(figures_of(bare).within_customer, all=auc)
    found = replace(bare, incomparable=None, model=replace(figures_of(bare), within_customer=within))
    assert f'<div class="{kind}"><span>AUC within customer' in report_page(found)


@pytest.mark.parametrize("publish", ["yes", "no", "cannot tell"])
def test_the_verdict_comes_first(bare: Evaluation, publish: Literal["yes", "no", "cannot tell"]) -> None:
    page = report_page(replace(bare, verdict=Verdict(publish, ("because <of> this",))))
    top = page.partition("</h1>")[2].partition("<dl>")[0]
    assert f"<b>Publish: {publish}</b>" in top
    assert "<li>because &lt;of&gt; this</li>" in top


def test_the_page_names_labels_and_times(bare: Evaluation) -> None:
    span = JudgedSpan("s3://lake/labels", "earlier/", 1_700_000_000_000, 0, 86_400_000)
    page = report_page(replace(bare, span=span))
    for words in (
        "<dd>2023-11-14 22:13:20 UTC</dd>",
        "<dd>s3://lake/labels, seen before: earlier/</dd>",
        "<dd>1970-01-01 00:00:00 UTC to 1970-01-02 00:00:00 UTC</dd>",
        f"{bare.rows:,} judged, {bare.accepted:,} accepted",
    ):
        assert words in page, words


def test_times_beyond_calendars_are_printed(bare: Evaluation) -> None:
    assert "<dd>9223372036854775807 ms</dd>" in report_page(replace(bare, span=JudgedSpan(None, None, 2**63 - 1)))


def test_examples_mark_what_was_accepted(report: Evaluation, page: str) -> None:
    examples = figures_of(report).examples
    marked = sum(offer.accepted for one in examples for offer in one.offers)
    assert page.count(" ✓ accepted") == marked > 0
    assert all(f"<b>{one.customer_id}</b>" in page for one in examples)


def test_slices_importances_and_rival_are_shown(report: Evaluation, page: str) -> None:
    figures = figures_of(report)
    assert figures.slices is not None
    assert figures.importances is not None
    assert figures.against is not None
    assert f"<h2>Against {figures.against.model_id}</h2>" in page
    for one in figures.slices.slices:
        assert f"<td>{one.feature}: {one.value}</td>" in page
    assert page.count('class="bar"') == len(figures.importances.features)


def test_no_value_runs_as_script(bare: Evaluation) -> None:
    evil = "<script>alert(1)</script>\"'<img onerror=x>"
    figures = figures_of(bare)
    assert figures.slices is not None
    assert figures.importances is not None
    assert figures.against is not None
    (example, *_), (a_slice, *_), (feature, *_) = figures.examples, figures.slices.slices, figures.importances.features
    placed = replace(example.offers[0], offer_id=evil, features=evil)
    figures = replace(
        figures,
        model_id=evil,
        facts={evil: evil},
        examples=(replace(example, customer_id=evil, features={evil: evil}, offers=(placed,), missed=(evil,)),),
        slices=replace(figures.slices, slices=(replace(a_slice, feature=evil, value=evil),)),
        importances=replace(figures.importances, features=(replace(feature, feature=evil),)),
        against=replace(figures.against, model_id=evil, incomparable=evil),
    )
    span = JudgedSpan(evil, evil, None)
    page = report_page(
        replace(bare, model=figures, span=span, verdict=Verdict("no", (evil,)), cautions=(evil,), incomparable=evil)
    )
    assert page.count("alert(1)") > 15
    assert "<script" not in page
    assert "<img onerror" not in page


def test_pages_fit_phones_and_dark_rooms(page: str) -> None:
    assert '<meta name="viewport"' in page
    assert "@media (prefers-color-scheme: dark)" in page
    assert "@media (max-width: 600px)" in page
    assert page.count("<table") == page.count('<div class="wide"><table')  # which scroll, and the page does not


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
    assert page.count('<table class="greyed">') == 5
    assert page.count("Greyed, as nothing here can be compared with popularity: ranked by this very model.") == 3
    assert "Caution: ranked by &lt;it&gt;." in page


def test_a_table_has_no_model_figures(report: Evaluation) -> None:
    page = report_page(replace(report, model=None))
    assert "Evaluation of a table of probabilities" in page
    assert "Off-policy" in page
    assert "Calibration" not in page


def test_a_refused_estimate_says_why() -> None:
    section = report_page(evaluated(accepted=0.4, propensity=1 / 6, ess_min=1e6))
    assert "Refused: the effective sample size is" in section


def test_both_stages_are_drawn_beside_each_other(bare: Evaluation) -> None:
    assert bare.model is not None
    one = StageFigure(Interval(0.7, 0.6, 0.8), Interval(0.8, 0.7, 0.9), Interval(0.1, 0.05, 0.15))
    page = report_page(replace(bare, model=replace(bare.model, two_stages=TwoStages(1_200, 12_000, one, one))))
    assert "within 1,200 requests" in page
    assert len(re.findall("image/svg", page)) == 2
    assert "<h2>Two stages</h2>" not in report_page(bare)
