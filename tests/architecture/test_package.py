"""What is released: a wheel and a source archive that hold all that runs, and run outside the checkout."""

import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

import stream_scorer
from stream_scorer.adapters.local.own_command import without_settings

ROOT = Path(__file__).parents[2]
NAME = f"stream_scorer-{stream_scorer.__version__}"
WHEEL = f"{NAME}-py3-none-any.whl"
BUILDS_S, RUNS_S = 240, 120


def build(source: Path, out: Path, *targets: str) -> None:
    """Build with the tools that are installed: no network, as for `--no-isolation`."""
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(out), *targets]
    subprocess.run(command, cwd=source, env=environment(), capture_output=True, timeout=BUILDS_S, check=True)


def environment(**variables: str) -> dict[str, str]:
    own = {name: value for name, value in without_settings().items() if name != "PYTHONPATH"}
    return {**own, **variables}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    build(ROOT, out)
    return out


def names_in(wheel: Path) -> set[str]:
    with ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_the_wheel_has_the_package_alone(dist: Path) -> None:
    files = {each.relative_to(ROOT).as_posix() for each in (ROOT / "stream_scorer").rglob("*") if each.is_file()}
    inside = names_in(dist / WHEEL)
    assert inside == {each for each in files if "__pycache__" not in each}
    assert {"stream_scorer/py.typed", "stream_scorer/adapters/plots/report_page.html"} <= inside


def test_the_source_archive_makes_the_same_wheel(dist: Path, tmp_path: Path) -> None:
    with tarfile.open(dist / f"{NAME}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    source = tmp_path / NAME
    for name in ("README.md", "CHANGELOG.md", "LICENSE", "SECURITY.md", "docs/tutorial.md", "tests/conftest.py"):
        assert (source / name).is_file(), name
    assert not any((source / name).exists() for name in (".venv", ".git", "build", "dist"))
    build(source, tmp_path, "-t", "wheel")
    assert names_in(tmp_path / WHEEL) == names_in(dist / WHEEL)


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as an installer lays it out."""
    site = tmp_path_factory.mktemp("site")
    with ZipFile(dist / WHEEL) as archive:
        archive.extractall(site)
    return site


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (["--version"], f"stream-scorer {stream_scorer.__version__}"),
        (["settings"], "kafka.bootstrap_servers"),
        (["settings", "--describe"], "Brokers to ask first"),
        (["check", "--help"], "--requests"),
    ],
)
def test_the_wheel_runs_in_an_empty_folder(words: list[str], printed: str, installed: Path, tmp_path: Path) -> None:
    code = "import sys, stream_scorer.cli as cli; print(cli.__file__, file=sys.stderr); cli.main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(installed)),
        capture_output=True,
        text=True,
        timeout=RUNS_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(str(installed))
    assert printed in done.stdout
