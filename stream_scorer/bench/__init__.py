"""Measures the ranker, the join and training, and beside them the least that such a job could cost.

Processor times of one machine vary from hour to hour: compare only figures of the same run.
"""
