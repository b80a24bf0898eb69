"""Starts an H2O JVM of our own, and never connects to one that already listens on H2O's usual port."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from stream_scorer.errors import UsageError
from stream_scorer.training.h2o.options import H2oOptions


@contextmanager
def h2o_server(folder: Path, options: H2oOptions) -> Iterator[Any]:
    """Yield the h2o module, connected to a JVM that writes its files to `folder` and ends with the block.

    What H2O prints goes to stderr. Raises UsageError when the JVM does not start, for instance for want of Java.
    """
    import h2o
    from h2o.backend import H2OLocalServer
    from h2o.exceptions import H2OStartupError

    with redirect_stdout(sys.stderr):
        try:
            server = H2OLocalServer.start(
                nthreads=options.threads,
                max_mem_size=options.heap_bytes,
                ice_root=str(folder),
                bind_to_localhost=True,
                verbose=False,
            )
        except H2OStartupError as error:
            raise UsageError(f"H2O did not start (it needs Java 8 to 17 on the path): {error}") from error
        try:
            with closing(h2o.connect(server=server, verbose=False)):
                h2o.no_progress()
                yield h2o
        finally:
            server.shutdown()
