"""Programs that run where this package is not installed: they import nothing of it but what lies beside them."""
