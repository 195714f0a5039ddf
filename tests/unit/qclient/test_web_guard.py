"""Who may see the page."""

import base64

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from qclient.web.guard import HEADERS, Guard, host_of


async def secret(_: Request) -> PlainTextResponse:
    return PlainTextResponse("all messages")


PAGE = Starlette(routes=[Route("/", secret), Route("/health", secret)])


async def ask(guard: Guard, path: str = "/", **headers: str | bytes) -> httpx.Response:
    transport = httpx.ASGITransport(app=guard)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.get(path, headers=list(headers.items()))  # type: ignore[arg-type]


def basic(words: str | bytes) -> str:
    raw = words.encode() if isinstance(words, str) else words
    return "Basic " + base64.b64encode(raw).decode()


async def test_without_a_password_all_may_come() -> None:
    answer = await ask(Guard(PAGE))
    assert (answer.status_code, answer.text) == (200, "all messages")


@pytest.mark.parametrize("name", ["", "ada", "ä"])
async def test_the_password_opens_by_any_name(name: str) -> None:
    answer = await ask(Guard(PAGE, "pass:wörd"), Authorization=basic(f"{name}:pass:wörd"))
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "said",
    [
        *("", "Basic", "Basic !", "Bearer pass:wörd", "Basic " + "A" * 1001),
        *(basic("ada:pass"), basic("pass:wörd:"), basic(b"\xff:\xff"), basic("pass:wörd")[6:]),
    ],
)
async def test_all_else_does_not(said: str) -> None:
    answer = await ask(Guard(PAGE, "pass:wörd"), Authorization=said.encode("latin-1"))
    assert answer.status_code == 401
    assert "all messages" not in answer.text
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


async def test_probes_need_no_password() -> None:
    assert (await ask(Guard(PAGE, "password"), "/health")).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:7780", 200),
        ("LOCALHOST", 200),
        ("[::1]:7780", 200),
        ("127.0.0.1", 200),
        ("evil.example", 421),
        ("localhost.evil.example:7780", 421),
        ("[::1].evil", 200),
        ("", 421),
    ],
)
async def test_the_page_is_only_given_by_a_name_of_its_own(host: str, status: int) -> None:
    guard = Guard(PAGE, hosts={"localhost", "127.0.0.1", "::1"})
    assert (await ask(guard, Host=host)).status_code == status
    assert (await ask(guard, "/health", Host=host)).status_code == status


async def test_every_answer_forbids_what_the_page_does_not_need() -> None:
    for guard in (Guard(PAGE), Guard(PAGE, "password"), Guard(PAGE, hosts=())):
        answer = await ask(guard)
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS


@pytest.mark.parametrize(
    ("header", "host"),
    [("a:1", "a"), ("A", "a"), ("[::1]:1", "::1"), ("[::1]", "::1"), ("", ""), (":1", "")],
)
def test_a_name_without_its_port(header: str, host: str) -> None:
    assert host_of(header) == host
