"""Both stages on labelled rows: the pairs that a re-ranker is trained on and judged by, and the comparison."""
