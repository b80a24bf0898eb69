"""`load_release` reads a model's folder and its offers, and says what it lacks."""

import json
from pathlib import Path

import pytest

import stream_scorer
from stream_scorer import UsageError, load_release
from stream_scorer.adapters.files.model_files import write_model
from tests.release_samples import model, offer, release, reranked_model
from tests.reranking_samples import network
from tests.ring import request

OFFERS = [offer(number) for number in range(5)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_model(tmp_path / "model", model(1))
    lines = [json.dumps({"offer_id": each.offer_id, "features": each.features}) for each in OFFERS]
    (tmp_path / "offers.jsonl").write_text("\n".join(lines))
    return tmp_path


def test_a_folder_gives_publishs_release(folder: Path) -> None:
    loaded = load_release(folder / "model", offers=folder / "offers.jsonl")
    assert loaded.release_id == release(model(1), OFFERS).release_id
    assert loaded.release_id == load_release(str(folder / "model"), offers=OFFERS).release_id


def test_settings_come_by_dotted_name(folder: Path) -> None:
    loaded = load_release(folder / "model", offers=OFFERS, settings={"rank.offer_features": ["price"]})
    (ranking,) = loaded.rank([request(1)])
    assert [set(each.features) for each in ranking.offers] == [{"price"}] * 3


def test_the_shortlist_is_that_of_the_settings(folder: Path) -> None:
    write_model(folder / "two", reranked_model(1, network(seed=4)))  # never has the towers' first for its own
    loaded = load_release(folder / "two", offers=OFFERS, settings={"rank.shortlist": 1})
    (ranking,) = loaded.rank([request(1)], limit=1)
    assert [one.tower_rank for one in ranking.offers] == [1]


def test_what_the_gate_sees_is_a_caution(folder: Path) -> None:
    loaded = load_release(folder / "model", offers=[{"offer_id": "o", "features": {"weight": 1.0}}])
    assert any("0 of 2 features" in each for each in loaded.cautions)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"source": "no-such-folder", "offers": OFFERS}, "no-such-folder is not a model"),
        ({"source": "model"}, "a model's folder needs its offers beside it"),
        ({"source": "redis://localhost", "offers": OFFERS}, "a release in Redis has its own offers"),
        ({"source": "model", "offers": OFFERS, "release_id": "r-1"}, "a model's folder has none"),
        ({"source": "model", "offers": OFFERS, "settings": {"redis.prefx": "x"}}, "no such setting: redis.prefx"),
        ({"source": "model", "offers": OFFERS, "config": "no.toml"}, "no settings file at no.toml"),
        ({"source": "redis://host:port"}, "redis.url"),
    ],
)
def test_wrong_arguments_are_a_sentence(arguments: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        load_release(**arguments)  # type: ignore[arg-type]


def test_a_missing_store_is_transient() -> None:
    with pytest.raises(stream_scorer.TransientError, match="redis"):
        load_release("redis://127.0.0.1:1", settings={"redis.timeout_s": 0.5})


def test_every_public_name_is_there() -> None:
    assert [name for name in stream_scorer.__all__ if not hasattr(stream_scorer, name)] == []
    with pytest.raises(AttributeError, match="no attribute 'rank_batch'"):
        stream_scorer.rank_batch  # noqa: B018
