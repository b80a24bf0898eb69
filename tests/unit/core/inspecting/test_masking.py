"""What people see of personal data: its form, never itself."""

import json

from stream_scorer.core.inspecting.masking import SHOWN_MAX, masked_feature, masked_id, masked_value

REQUEST = {
    "request_id": "q-17",
    "customer_id": "ada@example.org",
    "event_time_ms": 5,
    "features": {"town": "Turin", "age": 36, "member": True, "likes": ["tea", "figs"], "offer_id": {"x": "secret"}},
}


def test_ids_keep_two_characters_at_most() -> None:
    assert masked_id("ada@example.org") == "a••••g"
    assert masked_id("ada") == "••••"


def test_json_keeps_fields_and_kinds() -> None:
    masked = json.loads(masked_value(json.dumps(REQUEST).encode()))
    assert masked["event_time_ms"] == 5
    assert masked["customer_id"] == "(text of 15)"
    assert masked["features"]["likes"] == ["(text of 3)", "(text of 4)"]


def test_no_value_of_a_customer_is_left() -> None:
    masked = masked_value(json.dumps(REQUEST).encode())
    assert not [word for word in ("ada", "Turin", "36", "tea", "figs", "q-17", "secret") if word in masked]


def test_features_named_as_fields_are_masked() -> None:
    masked = json.loads(masked_value(b'{"limit": 5, "features": {"limit": 7000, "active": true, "attribute": "x"}}'))
    assert masked == {
        "limit": 5,
        "features": {"limit": "(number)", "active": "(true or false)", "attribute": "(text of 1)"},
    }


def test_broken_json_keeps_its_form_alone() -> None:
    assert masked_value(b'{"customer_id": "ada17"') == '{"xxxxxxxx_xx": "xxx99"'
    assert masked_value(b"\xff\xfe\x00") != ""


def test_long_values_are_shortened() -> None:
    assert len(masked_value(json.dumps({f"f{number}": "x" for number in range(999)}).encode())) == SHOWN_MAX


def test_features_have_kinds() -> None:
    values = ("Turin", 3.5, True, None, [1.0, 2.0])
    assert [masked_feature(each) for each in values] == ["text of 5", "number", "true or false", "null", "list of 2"]
