"""URIs of Iceberg tables."""

import pytest

from stream_scorer.adapters.iceberg.places import TablePlace
from stream_scorer.errors import UsageError


def test_a_uri_names_catalog_and_table() -> None:
    place = TablePlace.parse("iceberg://lake/shop.eu.labels?type=rest&uri=https://host:8181/x")
    assert (place.catalog, place.identifier) == ("lake", ("shop", "eu", "labels"))
    assert dict(place.properties) == {"type": "rest", "uri": "https://host:8181/x"}
    assert str(place) == "lake/shop.eu.labels"


@pytest.mark.parametrize("place", ["iceberg://lake", "iceberg://lake/labels", "iceberg:///a.b", "iceberg://lake/a..b"])
def test_a_uri_without_table_is_refused(place: str) -> None:
    with pytest.raises(UsageError, match=r"NAMESPACE\.TABLE"):
        TablePlace.parse(place)


@pytest.mark.parametrize("given", ["token=geheim", "s3.secret-access-key=geheim", "uri=postgresql://me:geheim@host/db"])
def test_secrets_in_a_uri_are_refused(given: str) -> None:
    with pytest.raises(UsageError, match="PYICEBERG_CATALOG__LAKE__") as refused:
        TablePlace.parse(f"iceberg://lake/shop.labels?{given}")
    assert "geheim" not in str(refused.value)
