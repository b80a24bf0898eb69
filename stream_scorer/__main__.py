"""`python -m stream_scorer`."""

from stream_scorer.cli import main

main()
