"""Opens labelled examples and other tables on this machine, or in a folder on any filesystem that pyarrow opens."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from stream_scorer.adapters.files.example_files import ExampleFiles
from stream_scorer.errors import UsageError

_SUFFIXES = (".parquet", ".jsonl", ".ndjson", ".csv", ".jsonl.gz", ".ndjson.gz", ".csv.gz")


@contextmanager
def examples_at(place: str) -> Iterator[ExampleFiles]:
    """Open a local path, or a URI such as s3://bucket/prefix.

    The files of a URI are copied to this machine first, since they are read several times. The copies are removed on
    leaving. Raises UsageError for a place without examples, TransientError for a place that cannot be reached.
    """
    if "://" not in place:
        yield ExampleFiles.at(_local(place))
        return
    with TemporaryDirectory(prefix="examples-") as copied:
        _copy(place, Path(copied))
        yield ExampleFiles.at(Path(copied))


@contextmanager
def tables_at(place: str) -> Iterator[list[Path]]:
    """Open the tables of a place, as `examples_at` does: a file, or all tables of a folder in order of name.

    Raises UsageError for a place without tables, TransientError for a place that cannot be reached.
    """
    if "://" in place:
        with TemporaryDirectory(prefix="tables-") as copied:
            _copy(place, Path(copied))
            yield _tables(Path(copied), place)
    else:
        yield _tables(_local(place), place)


def _tables(path: Path, place: str) -> list[Path]:
    if not path.is_dir():
        return [path]
    below = ((file, file.relative_to(path).as_posix()) for file in sorted(path.rglob("*")) if file.is_file())
    files = [file for file, name in below if name.lower().endswith(_SUFFIXES) and not _hidden(name)]
    if not files:
        raise UsageError(f"no table at {place}: expected a .jsonl, .csv or .parquet file, or a folder of them")
    return files


def _local(place: str) -> Path:
    if not place.startswith("~"):
        return Path(place)
    # Importing it loads pyarrow, which plain local paths do without.
    from stream_scorer.adapters.files.folders import local_path

    return local_path(place)


def _copy(place: str, into: Path) -> None:
    from stream_scorer.adapters.files.folders import Folder, shown_place

    folder = Folder.open(place)
    paths = [path for path in folder.paths() if path.lower().endswith(_SUFFIXES) and not _hidden(path)]
    if not paths:
        raise UsageError(
            f"no labelled examples at {shown_place(place)}: expected a folder of .parquet, .jsonl or .csv files"
        )
    for path in paths:
        (into / path).parent.mkdir(parents=True, exist_ok=True)
        (into / path).write_bytes(folder.read(path))


def _hidden(path: str) -> bool:
    return any(part.startswith((".", "_")) for part in PurePosixPath(path).parts)
