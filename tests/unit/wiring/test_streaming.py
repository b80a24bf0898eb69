"""What settings make of the jobs that follow topics."""

from stream_scorer.settings import Settings
from stream_scorer.wiring.streaming import rank_config


def test_the_shortlist_reaches_the_ranker() -> None:
    assert rank_config(Settings.model_validate({"rank": {"shortlist": 7}})).shortlist == 7
