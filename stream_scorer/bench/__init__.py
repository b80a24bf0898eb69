"""Measures the ranker on a real broker, beside a bare consume-produce loop with the same record sizes in the same run; joins; training.

Processor times of one machine vary from hour to hour: only what one run puts side by side is to be compared.
"""
