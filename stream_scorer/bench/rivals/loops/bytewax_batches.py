"""Bytewax: a dataflow that reads to the end of a topic, ranks batches and writes, without recovery."""

import json
from typing import Any

from bytewax import operators
from bytewax.connectors.kafka import KafkaSinkMessage
from bytewax.connectors.kafka import operators as kafka
from bytewax.dataflow import Dataflow
from bytewax.testing import run_main
from plain_ranking import PlainRanking, described

job = described()
ranking = PlainRanking(job["folder"])


def rank(messages: list[Any]) -> list[Any]:
    """Return the rankings of a batch as messages, keyed by customer."""
    ranked = ranking.rank_all([json.loads(message.value) for message in messages])
    return [KafkaSinkMessage(each["customer_id"].encode(), json.dumps(each).encode()) for each in ranked]


flow = Dataflow("ranking")
read = kafka.input(
    "requests", flow, brokers=[job["servers"]], topics=[job["source"]], tail=False, batch_size=job["batch"]
)
ranked = operators.flat_map_batch("rank", read.oks, rank)
kafka.output("rankings", ranked, brokers=[job["servers"]], topic=job["target"])
run_main(flow)
