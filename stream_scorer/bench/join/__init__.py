"""What the join costs."""
