"""For the tests of whoever uses qclient: a real server of their own, in a tenth of a second.

In the `conftest.py` at the top, with pytest:

    pytest_plugins = ["qclient.testing.fixtures"]

    async def test_a_signup_puts_a_welcome(qserver_url: str) -> None:
        async with app.connect(qserver_url) as client:
            await sign_up("ada@example.com")
            [message] = await client.get("mail")

Without pytest, or for a server that is to be killed in the middle:

    with ServerProcess(directory) as server:
        …
        server.restart()

What needs no server at all, `app.local()` runs in the test's own process.
"""

from qclient.testing.server import ServerProcess

__all__ = ["ServerProcess"]
