"""The id of a release is made from its content."""

from dataclasses import replace

import pytest

from stream_scorer.core.messages import OfferId, ReleaseId
from stream_scorer.core.releases.catalog import Catalog
from stream_scorer.core.releases.release import release_id_of
from tests.release_samples import model, offer, release


@pytest.fixture
def catalog() -> Catalog:
    return release(model(1), [offer(1), offer(2)]).catalog


def test_order_does_not_change_the_id(catalog: Catalog) -> None:
    made = model(1)
    other = release(made, [offer(2), offer(1)], created_ms=999)
    assert other.release_id == release_id_of(made.model_id, catalog)
    assert other.release_id.startswith("r-")
    assert len(other.release_id) == 18


def test_the_id_itself_is_no_content(catalog: Catalog) -> None:
    assert release_id_of("m", replace(catalog, release_id=ReleaseId("r-other"))) == release_id_of("m", catalog)


def test_another_model_gives_another_id(catalog: Catalog) -> None:
    assert release_id_of("m-1", catalog) != release_id_of("m-2", catalog)


@pytest.mark.parametrize(
    "changed",
    [
        [offer(1)],
        [offer(1), offer(3)],
        [offer(1), offer(2, features={"price": 2.5})],
        [offer(1), offer(2, active=False)],
        [offer(1), offer(2, valid_from_ms=0)],
        [offer(1), offer(2, valid_until_ms=9)],
    ],
)
def test_whatever_differs_gives_another_id(catalog: Catalog, changed: list[object]) -> None:
    other = release(model(1), changed)  # type: ignore[arg-type]
    assert release_id_of("m", other.catalog) != release_id_of("m", catalog)


def test_texts_that_run_together_give_different_ids(catalog: Catalog) -> None:
    left = replace(catalog, offer_ids=[OfferId("ab"), OfferId("c")])
    right = replace(catalog, offer_ids=[OfferId("a"), OfferId("bc")])
    assert release_id_of("m", left) != release_id_of("m", right)


def test_a_single_bit_changes_the_id(catalog: Catalog) -> None:
    vectors = catalog.vectors.copy()
    vectors.view("int32")[1, 1] ^= 1
    assert release_id_of("m", replace(catalog, vectors=vectors)) != release_id_of("m", catalog)
