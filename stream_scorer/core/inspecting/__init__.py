"""Looks into a judged model: the verdict, slices, what features matter, examples, and another model beside it."""
