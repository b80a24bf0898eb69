"""`serve` with one port for its workers' pages, and its flags in its workers."""

import json
import urllib.error
import urllib.request
from pathlib import Path

from stream_scorer.adapters.local.free_port import free_ports
from tests.release_samples import model, offer
from tests.ring import Ring
from tests.waiting import wait_for


def read(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def test_serve_answers_for_its_workers(ring: Ring, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    log = tmp_path / "serve.log"
    words = ("--log-level", "debug", "serve", "--rankers", "1", "--joiners", "1", "--metrics-port", str(port))
    ring.start(*words, log=log)
    wait_for(lambda: "waiting for the first release" in read(port, "/readyz")[1], "a ranker that waits", every_s=0.2)
    ring.publish(model(1), [offer(number) for number in range(9)])
    wait_for(lambda: read(port, "/readyz")[0] == 200, "readiness", every_s=0.2)
    assert read(port, "/livez") == (200, "live\n")
    assert read(port, "/healthz")[0] == 404
    metrics = read(port, "/metrics")[1]
    assert 'worker="rank-0"' in metrics
    assert 'worker="join-0"' in metrics
    levels = [json.loads(line)["level"] for line in log.read_text().splitlines() if line.startswith("{")]
    assert "debug" in levels
