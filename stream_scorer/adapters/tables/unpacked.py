"""Bounds what a compressed file may unpack to: a small file must not fill the memory, or occupy a reader for days."""

import gzip
import zipfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

from stream_scorer.errors import UsageError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

SMALL_BYTES = 64 * 2**20  # a file that unpacks to no more than this may be compressed as tightly as it likes
TEXT_TIMES_MAX = 300  # gzip packs logs to a twentieth, at times a hundredth; a decompression bomb to a thousandth
ARCHIVE_BYTES_MAX = 4 * 2**30
ARCHIVE_TIMES_MAX = 50  # models and vectors pack to a half, lists of names to a tenth
COLUMNS_TIMES_MAX = 1_000  # columns of few distinct values pack more tightly than text


def check_unpacked(name: object, packed: int, unpacked: int, *, times_max: int, bytes_max: int | None = None) -> None:
    """Raise UsageError for a file that unpacks to more than `times_max` times its size, or to more than `bytes_max`.

    Up to SMALL_BYTES are always allowed.
    """
    allowed = times_max * packed if bytes_max is None else min(times_max * packed, bytes_max)
    if unpacked > max(SMALL_BYTES, allowed):
        raise UsageError(
            f"{name} unpacks to {unpacked:,} bytes, at most {max(SMALL_BYTES, allowed):,} are read of a "
            "file of its size"
        )


def check_archive(path: Path, archive: zipfile.ZipFile) -> None:
    """Raise UsageError for an archive that declares more bytes than models and vectors unpack to.

    What it declares is enough to go by, since zipfile never unpacks more than that.
    """
    unpacked = sum(info.file_size for info in archive.infolist())
    size = path.stat().st_size
    check_unpacked(path, size, unpacked, times_max=ARCHIVE_TIMES_MAX, bytes_max=ARCHIVE_BYTES_MAX)


def check_columns(name: object, packed: int, footer: "pq.FileMetaData") -> None:
    """Raise UsageError for a Parquet file whose row groups declare more bytes than columns of data unpack to."""
    unpacked = sum(footer.row_group(group).total_byte_size for group in range(footer.num_row_groups))
    check_unpacked(name, packed, unpacked, times_max=COLUMNS_TIMES_MAX)


class UnpackedText(gzip.GzipFile):
    """The text of a gzip file, whose bytes are counted line by line.

    Raises UsageError once they are more than text in a file of its size can unpack to.
    """

    def __init__(self, path: Path, raw: IO[bytes]) -> None:
        super().__init__(fileobj=raw, mode="rb")
        self._path, self._packed, self._unpacked = path, path.stat().st_size, 0

    def readline(self, size: int | None = -1) -> bytes:
        """Return the next line, at most `size` bytes of it."""
        line = super().readline(-1 if size is None else size)
        self._unpacked += len(line)
        check_unpacked(self._path, self._packed, self._unpacked, times_max=TEXT_TIMES_MAX)
        return line
