"""What the doctor finds in the settings themselves."""

import pytest

from stream_scorer.settings import HttpSettings, Settings
from stream_scorer.wiring.examining import cautions


@pytest.mark.parametrize(("address", "warned"), [("127.0.0.1", False), ("::1", False), ("0.0.0.0", True)])
def test_an_open_door_is_a_warning(address: str, warned: bool) -> None:
    found = cautions(Settings(http=HttpSettings(address=address)))
    assert [each.check for each in found] == (["http"] if warned else [])
    assert all(address in each.says and each.do for each in found)
