"""What several commands share."""

from pathlib import Path

import pytest

from stream_scorer.cli.options import check_writable
from stream_scorer.errors import UsageError


def test_a_file_that_could_not_be_written_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--report .*/nowhere/page.html cannot be written: No such file"):
        check_writable(tmp_path / "nowhere" / "page.html", "--report")
    with pytest.raises(UsageError, match="Is a directory"):
        check_writable(tmp_path, "--out")


def test_looking_makes_no_file_and_leaves_one_as_it_is(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("kept")
    for path in (there, tmp_path / "new", None):
        check_writable(path, "--out")
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("there", "kept")]
