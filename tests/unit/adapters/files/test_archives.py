"""Archives that unpack to far more than they are."""

import zipfile
from pathlib import Path

import pytest

from stream_scorer.adapters.files.mojo_files import MODEL, read_mojo
from stream_scorer.adapters.files.vector_files import read_vectors
from stream_scorer.adapters.tables import unpacked
from stream_scorer.adapters.tables.unpacked import check_archive
from stream_scorer.errors import UsageError


@pytest.fixture
def bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(unpacked, "SMALL_BYTES", 2**20)
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in (MODEL, "ids.npy", "vectors.npy"):
            archive.writestr(name, b"\0" * 2**20)
    return tmp_path / "bomb.npz"


def test_a_packed_bomb_is_no_mojo(bomb: Path) -> None:
    with pytest.raises(UsageError, match="unpacks to 3,145,728 bytes, at most 1,048,576"):
        read_mojo(bomb)


def test_a_packed_bomb_is_no_vectors(bomb: Path) -> None:
    with pytest.raises(UsageError, match="unpacks to 3,145,728 bytes"):
        read_vectors(bomb, "offer_id")


def test_usual_packing_may_be_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacked, "SMALL_BYTES", 100)
    with zipfile.ZipFile(tmp_path / "m.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("numbers", "".join(f"{number / 7}," for number in range(1_000)))
        check_archive(tmp_path / "m.zip", archive)
