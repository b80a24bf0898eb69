"""What training costs, and how near it comes to the truth."""
