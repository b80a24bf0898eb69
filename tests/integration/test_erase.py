"""erase on a running ring: joiners drop what they hold, and nothing of the customer comes back."""

import json
from pathlib import Path
from typing import Any

from tests.release_samples import model, offer
from tests.ring import Ring, acceptance, request, values


def test_joiners_drop_an_erased_customer_alone(ring: Ring, tmp_path: Path) -> None:
    topics = ring.topics
    ring.options["STREAM_SCORER_BUFFER__FOLDER"] = str(tmp_path / "buffer")
    ring.publish(model(1), [offer(number) for number in range(3)])
    ring.start("serve", "--rankers", "1", "--joiners", "2", log=tmp_path / "serve.log")
    ring.send(topics.requests, [request(number) for number in range(200)])
    ring.wait_until_read("rank", [topics.requests])
    ring.wait_until_read("join", [topics.rankings])
    told = erase(ring, "c-3")
    assert (told["held"], told["open_requests"]["count"]) == ("dropped", 3)
    ring.send(topics.acceptances, [acceptance(number, "offer-1") for number in (3, 4, 5)])
    ring.wait_until_read("rank", [topics.acceptances])
    ring.wait_until_read("join", [topics.outcomes])
    ring.stop()
    assert {label["customer_id"] for label in values(ring.read(topics.labels))} == {"c-4", "c-5"}
    assert ring.read(topics.dead_letters) == []
    ring.run("buffer", "--until-idle", "1", log=tmp_path / "buffer.log")
    ring.run("verify", log=tmp_path / "verify.log")


def erase(ring: Ring, customer: str) -> dict[str, Any]:
    done = ring.command("erase", "--customer", customer, "--no-buffer", "--json", "--wait", "60")
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_a_missing_outcomes_topic_is_named(ring: Ring) -> None:
    ring.send(ring.topics.requests, [request(1)])
    words = ["erase", "--customer", request(1)["customer_id"], "--no-buffer"]
    done = ring.command(*words, STREAM_SCORER_TOPICS__OUTCOMES="nowhere")
    assert done.returncode == 2, done.stderr
    assert "topic nowhere does not exist" in done.stderr.splitlines()[-1]
