"""A durable work queue you can type at."""

__version__ = "0.1.0"
