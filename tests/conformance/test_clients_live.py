"""CLIENTS of a real server: what sockets add to what the core tells."""

from pathlib import Path

from tests.conformance.live import serving


def test_a_connection_that_was_refused_is_not_shown_and_its_number_not_given(
    tmp_path: Path,
) -> None:
    with serving(tmp_path, "--connections-max", "2") as server:
        first, second, refused = (server.connect() for _ in range(3))
        assert refused.receive().startswith("ERR busy ")
        for line in (first, second):
            line.send(b"CLIENTS\n")
            rows = [line.receive() for _ in range(3)]
            assert [row.split()[1] for row in rows] == ["1", "2", "2"]
            assert rows[2] == "OK 2"


def test_silence_is_counted_from_the_last_bytes_and_a_line_when_it_is_whole(
    tmp_path: Path,
) -> None:
    with serving(tmp_path) as server:
        first, second = server.connect(), server.connect()
        first.send(b"PING\nPI")
        assert first.receive() == "OK"
        second.send(b"CLIENTS\n")
        assert " requests=1" in second.receive()
        assert " requests=1" in second.receive()
        assert second.receive() == "OK 2"
