"""The judge of rankings by held-out acceptances, which `train`, its search and `evaluate` share."""
