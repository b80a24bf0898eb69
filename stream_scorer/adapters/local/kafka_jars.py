"""Where Apache Kafka's jars come from: a distribution (`KAFKA_HOME`), or Maven once, into the user's cache folder."""

import fcntl
import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stream_scorer.errors import NotReady

DOWNLOAD_S = 600.0


def java() -> str:
    """Return the Java to run Kafka with. Raises NotReady where there is none."""
    path = shutil.which("java")
    if path is None:
        raise NotReady(
            "a real Kafka needs Java 17 or newer, and there is no `java` on the PATH: install it (Debian: "
            "openjdk-17-jre-headless)"
        )
    return path


def kafka_jars(*, kafka_home: Path | None, cache: Path) -> Path:
    """Return a folder of Kafka's jars, downloaded to `cache` if need be: whole or not at all, once for all processes.

    Raises NotReady where neither a distribution, nor a cached copy, nor Maven is at hand.
    """
    if kafka_home is not None:
        return _distribution(kafka_home)
    pom = kafka_pom()
    folder = cache / f"kafka-{_version(pom)}-{hashlib.sha256(pom.read_bytes()).hexdigest()[:8]}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with _one_at_a_time(cache / ".lock"):
            if not folder.is_dir():
                _download(pom, folder)
    return folder


def kafka_pom() -> Path:
    """Return the list of jars; in a checkout it is a link to the one in `deploy/`."""
    return Path(__file__).resolve().with_name("kafka-pom.xml")


def _distribution(kafka_home: Path) -> Path:
    libs = kafka_home / "libs"
    if not any(libs.glob("kafka_*.jar")):
        raise NotReady(
            f"KAFKA_HOME is {kafka_home}, but {libs} holds no kafka_*.jar: point it to an unpacked Apache "
            "Kafka 4 or unset it"
        )
    return libs


def _version(pom: Path) -> str:
    version = re.search(r"<kafka\.version>([\w.-]+)</kafka\.version>", pom.read_text())
    assert version is not None, f"{pom} names no kafka.version"
    return version[1]


def _download(pom: Path, folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise NotReady(
            "a real Kafka needs Maven once, to fetch its jars: install it (Debian: maven), or set "
            "KAFKA_HOME to an Apache Kafka 4"
        )
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".download-") as temporary:
        jars = Path(temporary) / "jars"
        target = ["-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={jars}"]
        command = [maven, "-q", "-B", "-Dstyle.color=never", *target]
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_S, cwd=temporary, check=False)
        if done.returncode != 0 or not any(jars.glob("kafka_*.jar")):
            raise NotReady(f"Maven could not fetch Kafka's jars: {(done.stdout + done.stderr).strip()[:800]}")
        jars.rename(folder)


@contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
