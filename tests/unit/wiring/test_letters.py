"""What settings make of dead letters and their resends."""

from stream_scorer.settings import Settings
from stream_scorer.wiring.letters import resend_group, resend_rules
from stream_scorer.wiring.streaming import buffer_config, join_config, rank_config

SETTINGS = Settings.model_validate({"dead_letters": {"headers": "spring", "group": "again", "attempts_max": 7}})


def test_every_job_has_the_headers_asked_for() -> None:
    configs = (rank_config(SETTINGS), join_config(SETTINGS), buffer_config(SETTINGS, None))
    assert {config.letter_headers for config in configs} == {"spring"}


def test_records_go_where_users_write() -> None:
    rules = resend_rules(SETTINGS, 9)
    assert dict(rules.targets) == {
        "offers": "offers",
        "customer-requests": "customer-requests",
        "acceptances": "acceptances",
        "outcomes": "acceptances",
    }
    assert (rules.letters, rules.attempts_max, rules.letters_max) == ("dead-letters", 7, 9)


def test_each_kind_has_its_group() -> None:
    assert resend_group(SETTINGS, ("offers", "offer_key")) == "again-offers-offer_key"
