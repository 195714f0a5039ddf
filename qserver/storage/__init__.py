"""Drivers that keep a journal: an ordered sequence of records, stored durably and given back.

file.py       the default: JSON Lines in numbered files; what is written, when it is synced
recovery.py   reading it back after any kind of stop; what is a tear, what is damage
seal.py       the bytes: a segment's header, a batch's seal, the chain of checksums
room.py       room on the disk, and the reserve that ACKs go on from when it is full
aside.py      copies of what is cut out of a journal
survey.py     what of a damaged journal is intact; loss.py: what the rest can still tell
repair.py     a journal of nothing but what is intact
disk.py       the few calls that these make to the file system; tests put a faulty one there
memory.py     nothing durable
record.py     a fact of the broker ↔ one line
"""
