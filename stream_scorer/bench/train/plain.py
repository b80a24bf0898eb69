"""The plain training as a process: `python -m stream_scorer.bench.train.plain FOLDER EPOCHS BATCH_ROWS`."""

import sys
from pathlib import Path

from stream_scorer.bench.train.plain_loop import train_plainly
from stream_scorer.bench.train.simulated_labels import read_columns


def main() -> None:
    """Read all rows and train on them by the process's arguments."""
    folder, epochs, batch_rows = sys.argv[1:]
    train_plainly(*read_columns(Path(folder)), epochs=int(epochs), batch_rows=int(batch_rows))


if __name__ == "__main__":
    main()
