"""How lines say what was judged."""

from dataclasses import asdict

import numpy as np

from stream_scorer.cli.judged import asked_line, beside_lines
from stream_scorer.core.held_out.beside import beside

ASKED = {"questions": 500, "drawn_from": 500, "acceptances": 800, "repeats": 0.4, "known_ranked": True}


def test_repeats_are_said_with_what_follows() -> None:
    assert asked_line(ASKED) == (
        "500 requests; 40% of 800 acceptances repeat an earlier one: each request is judged apart,"
        " and offers accepted before are ranked"
    )
    assert asked_line({**ASKED, "known_ranked": False}).endswith("offers accepted before are not ranked")


def test_a_sample_is_said_so() -> None:
    assert asked_line({**ASKED, "drawn_from": 9_000}).startswith("500 requests, a sample of 9,000;")


def test_a_line_names_the_best_ranking_first() -> None:
    values = {"model": np.array([0.4, 0.6]), "popularity": np.array([0.1, 0.1]), "own": np.array([0.3, 0.3])}
    (line,) = beside_lines({"beside": {"new_offers": asdict(beside("nDCG@10", values))}})
    assert line == "nDCG@10, new offers (2 customers): 0.5000 ± 0.1960; own 0.3000, popularity 0.1000"
