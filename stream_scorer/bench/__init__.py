"""Measures the ranker, the join and training on a real broker, beside the least that each could cost.

Processor times of one machine vary from hour to hour: compare only what one run measured.
"""
