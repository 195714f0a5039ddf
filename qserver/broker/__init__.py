"""Every rule of a queue, and nothing else; see `broker.py`."""
