"""Lines that are none, verbs, bodies and names that are none, and other protocols."""

from typing import Final

from tests.conformance.hostile_case import LINE_MAX, Case, cases


def _put_of(length: int, end: bytes = b"\n") -> bytes:
    """A PUT whose line has so many bytes."""
    return b'PUT a "' + b"x" * (length - len('PUT a ""')) + b'"' + end


FRAMING: Final = [
    Case("a line at the limit", _put_of(LINE_MAX), "OK"),
    Case("a line at the limit, and CR", _put_of(LINE_MAX, b"\r\n"), "OK"),
    Case("a byte over the limit", _put_of(LINE_MAX + 1), "too-long", ("1048576",), closes=True),
    Case(
        "a byte over the limit, and CR",
        _put_of(LINE_MAX + 1, b"\r\n"),
        "too-long",
        ("1048576",),
        closes=True,
    ),
    Case(
        "a CR more at the limit",
        _put_of(LINE_MAX, b"\r\r\n"),
        "too-long",
        ("1048576",),
        closes=True,
    ),
    Case("no end in sight", b"x" * (LINE_MAX + 2), "too-long", ("1048576",), closes=True),
    Case(
        "a PUT behind a line too long",
        _put_of(LINE_MAX + 1) + b"PUT a 1\n",
        "too-long",
        closes=True,
    ),
]

VERBS: Final = [
    *cases("unknown-verb", ("FROB", "PUTT a 1", "P", "*", "* 1.1 a 1", "{}", '"PING"'), "HELP"),
    *cases("unknown-verb", ("OK", "OK 1", "ERR bad-request no"), "HELP"),
    *cases(
        "unknown-verb",
        ("PING\0", "\0\0\0\0", "\ufeffPING", "PÏNG", "\uff30\uff29\uff2e\uff27", "PING\x0b"),
    ),
    *cases("unknown-verb", (b"\xff\xfe", "PING".encode("utf-16-le"), b"\x16\x03\x01\x02\0\x01\0")),
    *cases("unknown-verb", ("x" * 100_000, "\x1b[2J", "\u202egnip", "ä" * 300, "\x07" * 300)),
    *cases("unknown-verb", ("HELP FROB",), "FROB"),
    *cases("bad-request", ("PING x", "STATS x", "QUIT x", "HELP PUT x"), "'x'"),
    *cases(
        "OK", ("pInG", " PING", "PING ", "\tPING\t", "PING\r", "\r\nPING", "  \nPING", "#\nPING")
    ),
]

ARGUMENTS: Final = [
    *cases("bad-request", ("PUT", "PUT a", "PUT a ", "PUT a key=x", "PUT a key=x "), "missing"),
    *cases("bad-request", ("GET", "GET ", "QUEUE", "PAUSE", "RESUME", "PURGE", "DROP"), "missing"),
    *cases("bad-request", ("REDRIVE", "ACK", "NACK", "RELEASE", "TOUCH", "ACK "), "missing"),
    *cases("bad-request", ("PROGRESS", "PROGRESS ", "PROGRESS 1.1", "PROGRESS 1.1 "), "missing"),
    *cases(
        "bad-request", ("DONE", "DONE 1.1", "DONE 1.1 retain=5", "DONE 1.1 retain=5 "), "missing"
    ),
    *cases("bad-request", ("RESULT", "RESULT x", "RESULT 1.1", f"RESULT {10**19}"), "id"),
    *cases("bad-request", ("NACK reason=x", "TOUCH lease=30", "RELEASE delay=1"), "missing"),
    *cases("bad-request", ("PEEK", "PEEK x", "PEEK -1", "PEEK 1.1", f"PEEK {10**19}"), "id"),
    *cases(
        "bad-request",
        (
            "PEEK 1 2",
            "LIST a b",
            "PAUSE a 2",
            "HELLO you",
            "GET a b",
            "LEASES 1",
            "RESULT 1 2",
            "CLIENTS 1",
        ),
        "more",
    ),
    *cases("not-found", ("PEEK 0", "PEEK 4242", f"PEEK {10**18}", "RESULT 0", "RESULT 9 wait=60")),
    *cases("no-session", ("TOUCH *", "TOUCH * lease=1m", "LEASES", "LEASES after=9"), "HELLO"),
]

BAD_BODIES: Final = (
    *('{"a":', '["a"', '{"a"}', '{"a":}', "[1,]", '{"a":1,}', "{a:1}", "'a'", '"a', "]", "}"),
    *(
        "01",
        "-01",
        "1.",
        ".5",
        "+1",
        "-",
        "1e",
        "0x1",
        "1_0",
        "\u0661",
        "tru",
        "True",
        "nul",
        "None",
    ),
    *("NaN", "-NaN", "Infinity", "-Infinity", "undefined", "[NaN]", '{"a":Infinity}'),
    *("1 2", "{} {}", "{}x", "1,2", '"a" "b"', "/*x*/1", "1 // x", "[1,\x0b2]", "1\x0b", "1\x0c"),
    *('"\0"', '"\x1f"', '"a\r"', '"a\tb"', '"\\x41"', '"\\u12"', '"\\ud800"', '"\\udc00 x"'),
    *('"\\ud83d\\u0041"', '{"\\ud800":1}', "\ufeff1", "\ufeff{}", "[" * 128, "{" * 129),
    *("[" * 129 + "]" * 129, "[" * 100_000, "[" * 100_000 + "]" * 100_000, '{"a":' * 100_000),
    *('{"a":' * 129 + "1" + "}" * 129, '["\\\\",' * 129 + "1" + "]" * 129),
)

BODIES: Final = [
    *cases("bad-json", (f"PUT a {body}" for body in BAD_BODIES), "body"),
    *cases("bad-json", (f"PUT a key=k {body}" for body in BAD_BODIES), "body"),
    *cases("bad-json", (f"PROGRESS 1.1 {body}" for body in BAD_BODIES if len(body) < 4096), "body"),
    *cases("bad-json", (f"DONE 1.1 {body}" for body in BAD_BODIES), "body"),
    *cases("bad-json", (b'PUT a "\xff"', b'PUT a {"k":"\xc3"}', b'PUT a "\xc0\xaf"'), "UTF-8"),
    *cases("bad-json", (b'PUT a "\xed\xa0\x80"', b'PUT a "\xf4\x90\x80\x80"'), "UTF-8"),
    *cases(
        "bad-json", (b"PUT a \xff", b"PUT a [\xc3\xa9]", b"PUT a 1\xff", "PUT a \0", "PUT a 1\0")
    ),
    *cases("bad-json", (b"PUT a " + '{"a":1}'.encode("utf-16-be"),)),
    *cases("bad-json", ('PUT a {"a":' + "[" * 128 + "]" * 128 + "}",), "128"),
    *cases("OK", ("PUT a " + "[" * 128 + "]" * 128, 'PUT a "' + "[{" * 5000 + '"')),
    *cases("OK", ('PUT a ["\\"' + "[" * 500 + '","\\\\"]', "PUT a [" + "[]," * 500 + "[]]")),
    *cases("OK", ("PUT a " + "9" * 5000, "PUT a -0", "PUT a 1E400", 'PUT a {"a":1,"a":2}')),
    *cases("OK", ('PUT a "\\ud83d\\ude00 \\u0000 \x7f \u2028"', "PUT a null", "PUT a  true")),
    *cases("OK", ('PUT a {"a": 1,\t"b":\r[ ]} ', 'PUT\ta\t{"b": 2}', "PUT  1a  2", "PUT\t7 8")),
]

BAD_NAMES: Final = (
    *("../x", "/etc/passwd", "/", ".", "..", ".x", "-x", "--help", "a/b", "a\\b", "a%2fb", "a'b"),
    *(
        '"a"',
        'a"b',
        "ä",
        "a;b",
        "$(x)",
        "`x`",
        "*",
        "a=b",
        "a@b",
        "a\0b",
        "a\x7f",
        "a\rb",
        "a\x0bb",
    ),
    *("a\u200b", "\uff41", "x" * 129, "x" * 100_000, "a~", "C:\\x", "a+b", "a|b"),
)

NAMES: Final = [
    *cases("bad-name", (f"PUT {name} 1" for name in BAD_NAMES), "128", "A-Z"),
    *cases("bad-name", (f"PUT {name} key=k 1" for name in BAD_NAMES), "128"),
    *cases("bad-name", (f"GET {name}" for name in BAD_NAMES), "128"),
    *cases("bad-name", (f"GET a,{name} wait=1" for name in BAD_NAMES), "128"),
    *cases("bad-name", (f"QUEUE {name}" for name in BAD_NAMES), "128"),
    *cases("bad-name", ("GET ,", "GET a,", "GET ,a", "GET a,,b", "PAUSE a,b", "PUT a,b 1")),
    *cases("bad-name", ("HELLO session=../x", "HELLO session=", 'HELLO session="a b"')),
    *cases("bad-name", ("LIST after=-x", "REDRIVE a to=../x", b"GET \xff", b"GET a\xc3")),
    *cases("bad-name", ("GET \xa0a", "GET a\u3000", "GET a\x1cb", "GET a\x85")),
    *cases("OK", ("GET " + "x" * 128, "GET _a", "GET :a", "GET 0", "GET a..b", "GET A-Z_.:-")),
    *cases("limit", ("GET " + ",".join(f"q{n}" for n in range(65)),), "64", "65"),
    *cases("OK", ("GET " + ",".join(f"q{n}" for n in range(64)),)),
]

_BEHIND: Final = '\r\nHost: localhost:7711\r\nContent-Length: 9\r\n\r\nPUT evil "done"\nPUT evil 2'

HTTP: Final = [
    *cases("http", ("GET / HTTP/1.1", "GET / HTTP/1.0", "GET /a HTTP/1.1\r"), closes=True),
    *cases("http", ("PUT /a HTTP/1.1", "PUT a HTTP/1.1", "PUT a {} HTTP/1.1"), closes=True),
    *cases("http", ("POST / HTTP/1.1", "POST /a", "post a 1", "POST "), closes=True),
    *cases("http", ("HEAD / HTTP/1.1", "OPTIONS * HTTP/1.1", "DELETE /a HTTP/1.1"), closes=True),
    *cases("http", ("Host: localhost", "HOST:x", "host: x"), closes=True),
    *cases("http", ("PING / HTTP/1.1", "LIST / HTTP/1.1", "CONNECT a:1 HTTP/1.1"), closes=True),
    *cases("http", ("PRI * HTTP/2.0", "GET / HTTP/1.1 ", "GET / http/1.1"), closes=True),
    *cases("http", (f"GET / HTTP/1.1{_BEHIND}", f"POST / HTTP/1.1{_BEHIND}"), closes=True),
    *cases("http", (f"PUT /evil HTTP/1.1{_BEHIND}", f"Host: x{_BEHIND}"), closes=True),
    *cases("OK", ('PUT a "GET / HTTP/1.1"', "PUT a key=HTTP/1.1 1", "# GET / HTTP/1.1\nPING")),
]
