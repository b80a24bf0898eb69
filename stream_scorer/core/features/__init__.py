"""Feature dicts of customers and offers into arrays, by a spec made from data."""
