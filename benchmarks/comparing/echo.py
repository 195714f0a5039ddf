"""A uvloop server that stores nothing and answers what ours would: the share of kernel and loop.

    python -m benchmarks.comparing.echo PORT

PUT is answered `OK 1` for each line end, GET with as many copies of the last body as it asks for,
ACK with how many receipts it names. Requests are told by the first letter of a chunk and by nothing
else: each connection has requests of one kind under way, as the load generator's have.
"""

import asyncio
import sys
from typing import cast

import uvloop


class Echo(asyncio.Protocol):
    """One connection."""

    delivered = b'* 1.1 q {"n":""}\n'

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers go to."""
        # uvloop's is none by inheritance.
        self.transport = cast("asyncio.Transport", transport)
        self.kind = b""

    def data_received(self, data: bytes) -> None:
        """Answer the requests that end in this chunk."""
        self.kind = self.kind or data[:1]
        ends = data.count(b"\n")
        if not ends:
            return
        if self.kind == b"P":
            if data[:6] == b"PUT q ":
                Echo.delivered = b"* 1.1 q " + data[6 : data.index(b"\n") + 1]
            self.transport.write(b"OK 1\n" * ends)
        elif self.kind == b"G":
            _, _, number = data.partition(b"count=")
            count = int(number or 1)
            self.transport.write(Echo.delivered * count + b"OK %d\n" % count)
        else:
            self.transport.write(b"OK %d\n" % data.count(b"."))
        if data[-1:] == b"\n":
            self.kind = b""


async def serve(port: int) -> None:
    """Until it is stopped."""
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
