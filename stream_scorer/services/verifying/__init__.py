"""`verify`: read the ring and judge what became of every record; see `verify.py`."""
