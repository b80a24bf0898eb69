"""A real Schema Registry for tests: Apicurio's, by its API of Confluent's kind; Maven fetches it once."""

import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from urllib.request import urlopen

from stream_scorer.adapters.local.kafka_jars import DOWNLOAD_S, java
from stream_scorer.adapters.local.local_server import LocalServer
from stream_scorer.errors import NotReady

VERSION = "2.6.13.Final"  # the last that Java 17 runs, as it runs Kafka
_ARTIFACT = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
_RUNNER = f"apicurio-registry-app-{VERSION}-runner.jar"
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.11.0:copy"


class LocalRegistry(LocalServer):
    """See LocalServer. It keeps schemas in memory."""

    port_taken = "in use by another process"  # as Quarkus says it

    def __init__(self, *, cache: Path) -> None:
        super().__init__("registry", start_s=240)
        self._cache = cache

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/apis/ccompat/v7"

    def _command(self, folder: Path) -> list[str]:
        # compiled once and lightly, since it lives for seconds: half the processor time of a start
        options = ["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData"]
        place = ["-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={self.port}"]
        return [java(), *options, *place, "-jar", str(_unpacked(self._cache) / _RUNNER)]

    def _answers(self) -> bool:
        try:
            with urlopen(f"{self.url}/subjects", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def _unpacked(cache: Path) -> Path:
    """Return the folder of the server: whole or not at all."""
    folder = cache / f"apicurio-registry-{VERSION}"
    if folder.is_dir():
        return folder
    maven = shutil.which("mvn")
    if maven is None:
        raise NotReady("a real Schema Registry needs Maven once, to fetch it (Debian: maven)")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".download-") as temporary:
        command = [maven, "-q", "-B", _COPY, f"-Dartifact={_ARTIFACT}", f"-DoutputDirectory={temporary}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_S, cwd=temporary, check=False)
        archive = next(Path(temporary).glob("*.tar.gz"), None)
        if done.returncode != 0 or archive is None:
            raise NotReady(f"Maven could not fetch a Schema Registry: {(done.stdout + done.stderr).strip()[:800]}")
        unpacked = Path(temporary) / "unpacked"
        with tarfile.open(archive) as tar:
            tar.extractall(unpacked, filter="data")
        if not folder.is_dir():  # another process may have been faster
            unpacked.rename(folder)
    return folder
