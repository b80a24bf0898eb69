"""Virtual environments for the rivals, made once in the user's cache folder: their dependencies never meet ours."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from stream_scorer.bench.rivals.contenders import RivalProgram
from stream_scorer.errors import StreamScorerError

_INSTALL_S_MAX = 600
_LINES_SHOWN = 5


def interpreter_of(rival: RivalProgram, cache: Path) -> str:
    """Return the Python that runs a rival, and make its environment where there is none, which downloads packages.

    Raises StreamScorerError where that fails.
    """
    if not rival.requires:
        return sys.executable
    folder = cache / "rivals" / environment_name(rival)
    made = folder / "made"  # written last: half an environment is made again
    if not made.exists():
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)], rival)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, *rival.requires], rival)
        made.touch()
    return str(folder / "bin" / "python")


def environment_name(rival: RivalProgram) -> str:
    """Return a folder's name that other requirements, or another Python, do not have."""
    text = "\n".join((sys.version, *rival.requires))
    return f"{rival.loop.removesuffix('.py')}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _run(command: list[str], rival: RivalProgram) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_S_MAX, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StreamScorerError(f"no environment for {rival.name}: {error}") from None
    if done.returncode:
        last = "; ".join((done.stderr or done.stdout).strip().splitlines()[-_LINES_SHOWN:])
        raise StreamScorerError(f"no environment for {rival.name}: {last}")
