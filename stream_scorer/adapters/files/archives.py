"""Bounds on what a zip archive unpacks to: a small file must not fill the memory."""

import zipfile
from pathlib import Path

from stream_scorer.errors import UsageError

UNPACKED_BYTES_MAX = 4 * 2**30
SMALL_BYTES = 64 * 2**20  # up to here an archive may be packed as tightly as it likes
PACKED_TIMES_MAX = 50  # models and vectors pack to a half, text of names to a tenth


def check_unpacked(path: Path, archive: zipfile.ZipFile) -> None:
    """Raise UsageError for an archive that says it unpacks to more than models and vectors do.

    The module zipfile ensures that it unpacks to no more than it says.
    """
    unpacked = sum(info.file_size for info in archive.infolist())
    allowed = max(SMALL_BYTES, min(PACKED_TIMES_MAX * path.stat().st_size, UNPACKED_BYTES_MAX))
    if unpacked > allowed:
        raise UsageError(f"{path} unpacks to {unpacked:,} bytes, at most {allowed:,} are read of a file of its size")
