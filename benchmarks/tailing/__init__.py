"""The parts of `benchmarks.tail`.

open_loop.c  PUTs that have a time at which each is to be sent, and how late their answers were
pacing.py    one run of it
beside.py    what others do to the server meanwhile
"""
