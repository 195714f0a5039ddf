"""Who is connected, and what is told of the others."""

from structlog.testing import capture_logs

from qserver.server.connections import WARN_S, Connections


def test_wrong_tokens_are_all_counted_and_logged_once_a_second() -> None:
    connections = Connections(10)
    with capture_logs() as logged:
        for now in (5.0, 5.0, 5.0 + WARN_S / 2, 5.0 + WARN_S):
            connections.note_unauthorized("there", now)
    assert [line["connections_unauthorized_total"] for line in logged] == [1, 4]
    assert connections.figures()["connections_unauthorized_total"] == 4
