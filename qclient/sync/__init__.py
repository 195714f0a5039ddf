"""The synchronous client, for plain scripts, Django views and shells.

    from qclient.sync import connect

    with connect("qserver://127.0.0.1:7711") as client:
        client.put("emails", {"to": "ada@example.com"})
        for message in client.consume("emails"):
            with message:  # acked at the end; nacked, with the reason, on an exception
                send(message.body)

The same verbs, errors and reports as `qclient`'s, over blocking sockets; `qclient/__init__.py` has
the map of both.
"""

from qclient.sync.client import Client
from qclient.sync.message import Message
from qclient.sync.opening import connect

__all__ = ["Client", "Message", "connect"]
