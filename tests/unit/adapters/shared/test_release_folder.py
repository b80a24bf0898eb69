import fcntl
import gc
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import structlog

from stream_scorer.adapters.shared import release_folder
from stream_scorer.adapters.shared.column_files import HEAD_BYTES
from stream_scorer.adapters.shared.release_folder import ReleaseFolder
from stream_scorer.core.messages import ReleaseId
from stream_scorer.core.releases.catalog import Catalog
from stream_scorer.errors import ReleaseError
from tests.ranking_worlds import catalog_of, unit_vectors

FIRST, SECOND = ReleaseId("r-1"), ReleaseId("r-2")


class Maker:
    """Makes a catalog, and counts how often."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Catalog:
        self.calls += 1
        return catalog_of(unit_vectors(50, 4))


@pytest.fixture
def make() -> Maker:
    return Maker()


def files(folder: Path) -> list[str]:
    return sorted(path.name[:3] for path in folder.glob("*.columns"))


def shared_or_reason(folder: Path, make: Callable[[], Catalog]) -> tuple[bool, str]:
    with structlog.testing.capture_logs() as logs:
        catalog = ReleaseFolder(folder, waits_s=0.0)(FIRST, "d" * 64, make)
    assert len(catalog) == 50
    return catalog.shared is not None, " ".join(str(entry.get("reason", "")) for entry in logs)


def test_a_release_is_made_once(tmp_path: Path, make: Maker) -> None:
    first, second = (ReleaseFolder(tmp_path / "run")(FIRST, "d" * 64, make) for _ in range(2))
    assert make.calls == 1
    assert first.vectors.tobytes() == second.vectors.tobytes() == make().vectors.tobytes()
    assert list(first.offer_ids) == make().offer_ids
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700


def test_two_that_start_together_write_once(tmp_path: Path, make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = threading.Event()
    monkeypatch.setattr(time, "sleep", lambda _: waiting.set())

    def slow() -> Catalog:
        assert waiting.wait(30)  # until the other found the lock taken
        return make()

    with ThreadPoolExecutor(2) as starting:
        catalogs = list(starting.map(lambda _: ReleaseFolder(tmp_path)(FIRST, "d" * 64, slow), range(2)))
    assert make.calls == 1
    assert all(catalog.shared is not None for catalog in catalogs)


def test_the_id_alone_names_no_release(tmp_path: Path, make: Maker) -> None:
    for digest in ("d" * 64, "e" * 64):
        ReleaseFolder(tmp_path)(FIRST, digest, make)
    assert make.calls == 2


def test_a_release_in_use_is_not_removed(tmp_path: Path, make: Maker) -> None:
    folder = ReleaseFolder(tmp_path)
    serving = folder(FIRST, "d" * 64, make)
    following = folder(SECOND, "e" * 64, make)
    assert files(tmp_path) == ["r-1", "r-2"]
    del serving
    gc.collect()
    folder(SECOND, "e" * 64, make)
    assert files(tmp_path) == ["r-2"]
    assert len(following) == 50


def test_a_removed_file_serves_on(tmp_path: Path, make: Maker) -> None:
    catalog = ReleaseFolder(tmp_path)(FIRST, "d" * 64, make)
    for path in tmp_path.iterdir():
        path.unlink()
    assert catalog.vectors.tobytes() == make().vectors.tobytes()
    assert catalog.shared is not None
    assert catalog.shared.again().tobytes() == make().vectors.tobytes()


def test_a_damaged_file_is_written_anew(tmp_path: Path, make: Maker) -> None:
    assert shared_or_reason(tmp_path, make) == (True, "")
    (path,) = tmp_path.glob("*.columns")
    data = bytearray(path.read_bytes())
    data[HEAD_BYTES] ^= 1
    path.write_bytes(data)
    shared, reason = shared_or_reason(tmp_path, make)
    assert (shared, make.calls) == (True, 2)
    assert "digest" in reason


def test_a_full_disk_leaves_memory(tmp_path: Path, make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(release_folder, "write_columns", full)
    shared, reason = shared_or_reason(tmp_path, make)
    assert (shared, make.calls) == (False, 1)
    assert "No space left" in reason
    assert not list(tmp_path.glob("*.unfinished"))


def test_a_folder_open_to_others_is_refused(tmp_path: Path, make: Maker) -> None:
    tmp_path.chmod(0o770)
    assert shared_or_reason(tmp_path, make) == (False, f"others may write to the folder {tmp_path}: chmod go-w")


def test_another_users_folder_is_refused(tmp_path: Path, make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    shared, reason = shared_or_reason(tmp_path, make)
    assert not shared
    assert f"belongs to user {user}" in reason


def test_links_are_not_followed(tmp_path: Path, make: Maker) -> None:
    shared_or_reason(tmp_path, make)
    (path,) = tmp_path.glob("*.columns")
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert not shared_or_reason(tmp_path, make)[0]


def test_a_writer_that_hangs_is_not_awaited(tmp_path: Path, make: Maker) -> None:
    with (tmp_path / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shared, reason = shared_or_reason(tmp_path, make)
    assert not shared
    assert "another process has been writing a release for 0 s" in reason


def test_a_killed_writers_remains_are_replaced(tmp_path: Path, make: Maker) -> None:
    shared_or_reason(tmp_path, make)
    (path,) = tmp_path.glob("*.columns")
    path.rename(path.with_suffix(".unfinished"))
    assert shared_or_reason(tmp_path, make) == (True, "")
    assert not list(tmp_path.glob("*.unfinished"))


def test_an_unreadable_release_stays_an_error(tmp_path: Path) -> None:
    def broken() -> Catalog:
        raise ReleaseError("chunk 0 is gone")

    with pytest.raises(ReleaseError, match="chunk 0 is gone"):
        ReleaseFolder(tmp_path)(FIRST, "d" * 64, broken)


def test_an_empty_catalog_is_shared(tmp_path: Path) -> None:
    catalog = ReleaseFolder(tmp_path)(FIRST, "d" * 64, lambda: catalog_of(np.zeros((0, 4))))
    assert (len(catalog), catalog.dim) == (0, 4)
