"""The bare loop as a process: `python -m stream_scorer.bench.rank.bare '{"consumer": …}'`."""

import json
import sys
from pathlib import Path

from stream_scorer.adapters.local.stopping import stop_signals
from stream_scorer.bench.rank.bare_loop import BareLoop


def main() -> None:
    """Run the loop that the process's argument describes as JSON."""
    described = json.loads(sys.argv[1])
    stopping = stop_signals(parent=described["parent"])
    values = Path(described["values"]).read_bytes().splitlines()
    loop = BareLoop(
        described["consumer"],
        described["producer"],
        sources=described["sources"],
        target=described["target"],
        values=values,
    )
    loop.run(batch_max=described["batch"], stopping=stopping, until_idle_s=described["until_idle_s"])


if __name__ == "__main__":
    main()
