"""A durable work queue you can type at.

The files are the path of a command: bytes, lines, words, one broker call, a record, a commit.

::

    __main__.py                 python -m qserver
    cli.py                      the command line
    cli_journal.py              … for a journal that no server works on
    options.py                  what an operator can set: flags, environment, file
    logs.py                     log lines for people and for machines
    config.py                   every number that someone might tune
    errors.py                   every failure with a name
    ports.py                    the storage seam: what is asked of a journal
    facts.py                    what the broker and its journal tell each other
    build.py                    compiled, or plain Python

    server/run.py               from a configuration to a process and its exit code
    server/server.py            one turn of the loop; start and stop
    server/listener.py          where clients knock
    server/connections.py       who is connected, and how many may be
    server/connection.py        one client's socket
    server/rota.py              who goes on at the end of a turn
    server/garbage.py           when the interpreter looks for garbage
    server/peak.py              memory goes back to the system after a peak
    server/stalls.py            how long a turn takes
    server/busy_poll.py         when the loop looks on before it sleeps
    server/clock.py             where time comes in
    server/offline.py           check, repair and export without a server
    server/commit.py            which replies wait for which batch of the journal
    server/compactor.py         which segments are dropped, and when a little is moved

    dispatch/conversation.py    one client's lines, in order
    dispatch/client.py          what is known of a client
    dispatch/tokens.py          the secrets that let clients in
    dispatch/grammar.py         what may stand in a request
    dispatch/verbs.py           the table of verbs
    dispatch/run.py             many PUTs at one stroke
    dispatch/message_verbs.py   PUT GET ACK NACK RELEASE TOUCH LEASES PEEK
    dispatch/outcome_verbs.py   PROGRESS DONE RESULT
    dispatch/queue_verbs.py     LIST QUEUE PAUSE RESUME PURGE DROP REDRIVE
    dispatch/server_verbs.py    HELLO CLIENTS STATS PING QUIT
    dispatch/lines.py           messages and queues as lines of a reply

    wire/framing.py             bytes to lines
    wire/words.py               the terminals of the grammar, both ways

    broker/broker.py            the tables, and the steps of a message's life
    broker/counters.py          how often things happened
    broker/message.py           a message and its states
    broker/queue.py             a queue, its settings, its messages by state
    broker/ready.py             the order of delivery
    broker/table.py             every message by its id
    broker/bases.py             which segment a message is told in
    broker/index.py             the order of ids, for LIST
    broker/dedup.py             dedup keys
    broker/session.py           sessions
    broker/waiter.py            requests that wait
    broker/hungry.py            who of them is to be served
    broker/wheel.py             the timer wheel
    broker/put.py               PUT
    broker/get.py               GET, waiting, sessions
    broker/settle.py            ACK NACK RELEASE TOUCH, and leases that end
    broker/finish.py            the end of what is acked, one by one or at one stroke
    broker/touching.py          TOUCH * of all that a session holds
    broker/outcome.py           PROGRESS DONE RESULT
    broker/expire.py            the end of a ttl
    broker/timers.py            what time alone brings about
    broker/admin.py             QUEUE PAUSE PURGE DROP
    broker/ongoing.py           requests that take more than one step
    broker/purging.py           PURGE and DROP of many messages
    broker/redriving.py         REDRIVE
    broker/following.py         what follows the wall clock, when that is set
    broker/view.py              PEEK LIST LEASES STATS
    broker/checkpoint.py        what a new segment of the journal begins with
    broker/compaction.py        what an old segment is needed for is told again
    broker/restore.py           facts become messages again
    broker/furnish.py           messages are put where they belong

    storage/recorder.py         facts become lines of JSON
    storage/record.py           lines of JSON become facts
    storage/file.py             the file driver
    storage/segment.py          the end of a journal that is written on
    storage/recovery.py         reading segments back after any kind of stop
    storage/seal.py             the bytes of a segment
    storage/room.py             room on the disk, and what is reserved of it
    storage/aside.py            copies of what is cut out
    storage/survey.py           what of a damaged journal is intact
    storage/loss.py             what the rest can still tell
    storage/repair.py           a journal of what is intact
    storage/disk.py             what the file driver asks of the file system
    storage/memory.py           the memory driver
"""

__version__ = "0.1.0"
