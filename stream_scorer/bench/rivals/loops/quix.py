"""Quix Streams: a function applied to a streaming data frame, JSON in and out."""

from plain_ranking import PlainRanking, described
from quixstreams import Application


def main() -> None:
    """Rank until nothing has come for `idle_s`."""
    job = described()
    app = Application(
        broker_address=job["servers"],
        consumer_group=job["group"],
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once" if job["exactly_once"] else "at-least-once",
    )
    frame = app.dataframe(app.topic(job["source"], value_deserializer="json"))
    frame = frame.apply(PlainRanking(job["folder"]).rank)
    frame.to_topic(app.topic(job["target"], value_serializer="json"))
    app.run(timeout=job["idle_s"], collect=False)


main()
