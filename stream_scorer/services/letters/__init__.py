"""Dead letters for whoever is woken: what lies there, and how it is sent again after a fix."""
