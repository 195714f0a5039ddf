"""Sockets, signals and the loop: the only rooms that wait.

connection.py  one client's socket: flow control, and when its conversation goes on
commit.py      which replies wait for which batch of the journal
server.py      the turn: what comes after all sockets were read; start and stop
"""
