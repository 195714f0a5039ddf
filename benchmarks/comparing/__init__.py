"""The parts of `benchmarks.compare`.

plan.py         what is measured: operations, cells, durability classes, and how many messages
contestants.py  the servers: how each is started in each class, and asked what it holds
talk.py         one request and its answer in each protocol, for what is not measured
serving.py      a contestant's process on a free port and in a directory of its own
echo.py         a uvloop server that stores nothing: the floor
compiling.py    generator.c and protocols.c, compiled on the spot
driving.py      one run of the load generator, and the medians of several
race.py         all runs, the servers in turn
keeping.py      memory of what is queued, and the time to be back after a kill
report.py       all that was found, as JSON and back
bars.py         what is asked of the figures, met or missed
table.py        the figures as Markdown
chart.py        and as a picture
"""
