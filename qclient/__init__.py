"""The Python client of qserver, a durable work queue.

    from qclient import Consumer, connect

    async with connect("qserver://127.0.0.1:7711") as client:
        await client.put("emails", {"to": "ada@example.com"})
        async with Consumer(client, "emails", type=Email) as consumer:
            async for message in consumer:
                async with message:  # acked at the end; nacked on an exception
                    await send(message.body)

A map, in the order that a request passes through; nothing above `connection.py` does any I/O, so a
synchronous client can stand on the same ground:

    errors.py        every failure with a name, and whether to try again
    words.py         the terminals of the grammar, both ways: names, text, times, receipts, bodies
    replies.py       bytes in pieces to replies; a Request is a line and how to read its reply
    message.py       messages as a client holds them
    reports.py       what the verbs answer, as values
    verbs.py         requests of a message's life: put, get, ack, nack, release, touch, peek
    queues.py        requests that look after queues and the server
    puts.py          what a client adds to every PUT: a key of its own, the server's limit

    connection.py    one socket: requests out, replies back to whoever asked
    backoff.py       how long to wait before connecting again
    dialler.py       where the server is; connect and HELLO
    link.py          a connection that comes back, and what becomes of requests under way
    waiting.py       GETs that wait, each on a connection of its own
    batches.py       many PUTs as few requests
    settling.py      acks of one turn of the loop as one line
    caretaker.py     the client's verbs that look at messages and look after queues
    client.py        the client: one typed method per verb
    opening.py       connect
    producer.py      puts into one queue with the same options
    consumer.py      an endless stream of messages, fetched ahead and kept leased

    sync/connection.py   the synchronous client: one blocking socket
    sync/dialler.py      connect and HELLO
    sync/pool.py         connections, lent to threads; fork
    sync/link.py         what becomes of a request whose connection is lost, or that is broken off
    sync/message.py      a leased message that settles itself
    sync/caretaker.py    the verbs that look at messages and look after queues
    sync/consuming.py    an endless loop over messages
    sync/client.py       the client: one typed method per verb
    sync/opening.py      connect

    tasks/control.py     what a task says by raising, and why it was cancelled
    tasks/job.py         what putting a task gives back: where it stands, what came of it
    tasks/returned.py    what a task returns, as its function annotates it
    tasks/envelope.py    the message of a task
    tasks/arguments.py   a function's arguments: checked, and read as it annotates them
    tasks/putting.py     one put under way, and what wraps it
    tasks/task.py        a function that can be put
    tasks/outlet.py      where tasks are put: a client, or this process
    tasks/schedule.py    when a periodic task is due: cron expressions, periods
    tasks/periodic.py    what is put for it, once for all workers; what was missed
    tasks/app.py         the tasks of a service by name
    tasks/local.py       tasks that are run by whoever puts them, for tests

    middleware/retry.py      what wraps each run: failures become Retry or Reject
    middleware/timeout.py    runs that take too long are cancelled
    middleware/logging.py    what fails is logged
    middleware/measures.py   what metrics say about a run
    middleware/prometheus.py counts, durations and latencies for Prometheus
    middleware/statsd.py     the same for statsd; when it sends them
    middleware/depths.py     how deep the queues are, for statsd
    middleware/tracing.py    spans of OpenTelemetry, joined from the put to the run
    middleware/turns.py      what limits do with a run that has to wait
    middleware/rate_limit.py at most so many runs in a time
    middleware/concurrency_limit.py  at most so many at once

    worker/settings.py   what can be set about a worker
    worker/delivery.py   one run of a task, and what it can ask about itself
    worker/attempts.py   attempts that a queue would cut short
    worker/fetching.py   asks for as many messages as there are places for
    worker/lookahead.py  how many more will have a place when they come
    worker/slots.py      bounded concurrency; deadlines; cancelling
    worker/isolation.py  a run in a context of its own
    worker/runs.py       a task's function, on the loop, in a thread or a process
    worker/threads.py    plain functions in threads
    worker/processes.py  plain functions in processes
    worker/outcome.py    what becomes of a message when its run has ended
    worker/progress.py   what a run says about how far it has got, not too often
    worker/keeping.py    results that are kept, those of one turn of the loop together
    worker/heartbeat.py  leases kept alive from a thread with a connection of its own
    worker/looping.py    is the event loop turning?
    worker/health.py     is the worker heard?
    worker/probe.py      who can ask: a file, a port, `--check`
    worker/periodic.py   puts what is due next
    worker/worker.py     its life
    worker/signals.py    SIGTERM and SIGINT
    worker/logs.py       how its process logs
    worker/membership.py what a worker does differently that is one of several
    worker/crew.py       several worker processes, and one that looks after them
    worker/reload.py     which files of a service have changed, for development
    worker/program.py    a process that is a worker: an app by name, a banner

    testing/server.py    a real server as a process, for tests
    testing/fixtures.py  the same as fixtures for pytest

    sweep.py             a long listing, looked at in turns
    overview.py          a server looked at again and again, and rates between the looks

    web/program.py       a page in a browser: a port, until it is stopped
    web/app.py           what is answered at which path
    web/guard.py         who may see it
    web/looking.py       what is shown
    web/metrics.py       the same for Prometheus

    cli.py           the command line: its group and exit codes
    __main__.py      `python -m qclient`
    cli_context.py   a connection for one command; durations and times from words
    cli_output.py    JSON lines for programs, tables for people
    cli_put.py       put, from an argument or a stream
    cli_get.py       get, ack, nack, release, touch
    cli_outcome.py   progress, done, result
    cli_look.py      list, queues, peek, clients, stats, ping
    cli_screen.py    how it is drawn; the terminal while top has it
    cli_top.py       top
    cli_tail.py      tail
    cli_web.py       web: the page
    cli_care.py      queue, pause, resume, purge, drop, redrive
    cli_worker.py    worker: runs the tasks of an app

`DESIGN.md` beside this says why things are as they are.
"""

from qclient.backoff import Backoff
from qclient.client import Client
from qclient.consumer import Consumer
from qclient.errors import (
    BadBody,
    BadJson,
    BadName,
    BadReceipt,
    BadRequest,
    BatchError,
    Busy,
    CannotConnect,
    Closed,
    ConnectionLost,
    Error,
    Full,
    NoSession,
    NotFound,
    NotSpoken,
    OverLimit,
    ProtocolError,
    ReplyError,
    StorageFailed,
    TimedOut,
    TooLong,
    Unauthorized,
    UnknownVerb,
)
from qclient.message import Delivery, Message, Stored
from qclient.opening import connect
from qclient.producer import Producer
from qclient.reports import Lease, Outcome, Peer, Put, Queue, Server, Settings, Settled

__all__ = [
    "Backoff",
    "BadBody",
    "BadJson",
    "BadName",
    "BadReceipt",
    "BadRequest",
    "BatchError",
    "Busy",
    "CannotConnect",
    "Client",
    "Closed",
    "ConnectionLost",
    "Consumer",
    "Delivery",
    "Error",
    "Full",
    "Lease",
    "Message",
    "NoSession",
    "NotFound",
    "NotSpoken",
    "Outcome",
    "OverLimit",
    "Peer",
    "Producer",
    "ProtocolError",
    "Put",
    "Queue",
    "ReplyError",
    "Server",
    "Settings",
    "Settled",
    "StorageFailed",
    "Stored",
    "TimedOut",
    "TooLong",
    "Unauthorized",
    "UnknownVerb",
    "connect",
]
