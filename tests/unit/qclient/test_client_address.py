"""Where a URL says that the server is, and the token in it."""

import pytest

import qclient
from qclient import dialler


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("qserver://127.0.0.1:7711", "127.0.0.1", 7711),
        ("localhost", "localhost", 7711),
        ("queue.example:99", "queue.example", 99),
        ("qserver://[::1]:5/", "::1", 5),
    ],
)
def test_an_address_names_a_host_and_a_port(url: str, host: str, port: int) -> None:
    assert (dialler.address(url).host, dialler.address(url).port) == (host, port)


@pytest.mark.parametrize(
    "url", ["http://a:1", "qserver://a:1/x", "qserver://u@a", "a:b", "a:99999", "qserver://[::1"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(qclient.BadRequest, match="not an address"):
        dialler.address(url)


@pytest.mark.parametrize("url", ["qserver://h:1", "h:1", "qserver://:old@h:1"])
@pytest.mark.parametrize("token", ["plain", "a b", "ä/@:%?#", "%41"])
def test_a_token_goes_into_a_url_and_comes_out_of_it_and_is_not_shown(url: str, token: str) -> None:
    whole = dialler.with_token(url, token)
    where = dialler.address(whole)
    assert (where.host, where.port, where.token) == ("h", 1, token)
    assert f"{where} {where!r} {dialler.shown(whole)}" == f"h:1 h:1 {'qserver://h:1'}"


@pytest.mark.parametrize(
    "url",
    [
        *("qserver://:secret@h:x", "qserver://:se/cret@h", "secret@h/x", "qserver://:se://cret@h"),
        *(":se://cret@h", "qserver://:se\ncr/et@h", "qserver://:secret/@h/x://y"),
    ],
)
def test_an_address_that_is_refused_does_not_show_its_token(url: str) -> None:
    with pytest.raises(qclient.BadRequest, match="not an address") as caught:
        dialler.address(url)
    assert "se" not in str(caught.value).replace("qserver", "").replace(":token@", "")


@pytest.mark.parametrize(
    "url", [dialler.with_token("h", "se\udcff"), "qserver://:se\udcff@h", "qserver://:se%FF@h"]
)
def test_a_token_that_is_no_text_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(qclient.BadRequest, match="token is no text in UTF-8") as caught:
        dialler.address(url)
    assert "se" not in str(caught.value)
