"""Trains re-rankers on pairs within requests, by torch or LightGBM, and exports them to `core/reranking`."""
