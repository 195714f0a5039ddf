"""At which of a host's addresses a server listens."""

import errno
import socket

import pytest

from qserver.server.listener import listen


def resolve_to(patch: pytest.MonkeyPatch, *addresses: tuple[int, str]) -> None:
    def found(_host: object, port: int, *_: object) -> list[tuple[object, ...]]:
        return [
            (family, socket.SOCK_STREAM, 6, "", (address, port)) for family, address in addresses
        ]

    patch.setattr(socket, "getaddrinfo", found)


async def addresses_of(host: str = "h") -> list[tuple[str, int]]:
    listener = await listen(lambda: b"", host, 0, 60.0)
    found = [sock.getsockname() for sock in listener.sockets]
    listener.close()
    return found


@pytest.mark.parametrize("missing", [(socket.AF_INET, "198.51.100.1"), (99, "::1")])
async def test_an_address_that_the_machine_has_not_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, missing: tuple[int, str]
) -> None:
    resolve_to(monkeypatch, missing, (socket.AF_INET, "127.0.0.1"), missing)
    assert [host for host, _ in await addresses_of()] == ["127.0.0.1"]


async def test_a_host_of_which_the_machine_has_no_address_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve_to(monkeypatch, (socket.AF_INET, "198.51.100.1"), (socket.AF_INET, "198.51.100.2"))
    with pytest.raises(OSError, match="assign requested address") as refused:
        await addresses_of()
    assert refused.value.errno == errno.EADDRNOTAVAIL


async def test_any_free_port_is_the_same_one_for_all_addresses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve_to(monkeypatch, (socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.0.0.2"))
    (one, port), (two, same) = await addresses_of()
    assert (one, two, same) == ("127.0.0.1", "127.0.0.2", port)


async def test_an_address_in_use_is_refused_though_there_are_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        resolve_to(monkeypatch, (socket.AF_INET, "127.0.0.2"), (socket.AF_INET, "127.0.0.1"))
        with pytest.raises(OSError, match="in use"):
            await listen(lambda: b"", "h", port, 60.0)
