"""Drivers that keep a journal: an ordered sequence of records, stored durably and given back.

file.py       the default: JSON Lines in numbered files; what is written, when it is synced
recovery.py   reading it back after any kind of stop; what is a tear, what is damage
seal.py       the bytes: a segment's header, a batch's seal, the chain of checksums
disk.py       the few calls that these make to the file system; tests put a faulty one there
memory.py     nothing durable
record.py     a fact of the broker ↔ one line
"""
