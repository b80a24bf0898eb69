"""FastStream: a subscriber that takes batches and publishes what it returns, offsets committed after the work."""

import asyncio
import time
from typing import Any

from faststream import AckPolicy, FastStream
from faststream.confluent import KafkaBroker, KafkaPublishMessage
from plain_ranking import PlainRanking, described

job = described()
ranking = PlainRanking(job["folder"])
broker = KafkaBroker(job["servers"])
app = FastStream(broker)
last_s: list[float] = []


@broker.subscriber(
    job["source"],
    group_id=job["group"],
    auto_offset_reset="earliest",
    batch=True,
    max_records=job["batch"],
    ack_policy=AckPolicy.ACK,
)
async def rank(requests: list[dict[str, Any]]) -> None:
    """Publish the rankings of a batch, keyed by customer."""
    ranked = ranking.rank_all(requests)
    messages = [KafkaPublishMessage(each, key=each["customer_id"].encode()) for each in ranked]
    await broker.publish_batch(*messages, topic=job["target"])
    last_s[:] = [time.monotonic()]


@app.after_startup
async def end_when_idle() -> None:
    """End the app when nothing has come for `idle_s`."""

    async def watch() -> None:
        while True:
            await asyncio.sleep(0.1)
            if last_s and time.monotonic() - last_s[0] > job["idle_s"]:
                app.exit()
                return

    app.watching = asyncio.create_task(watch())


asyncio.run(app.run())
