"""Rankings and outcomes to labels, reconciled."""
