"""HTTP as we serve it to others, and as we read it from our own workers."""
