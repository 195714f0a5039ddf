"""Recovery: records and messages a second, and the time to listen again.

    python -m benchmarks.recovery [--messages 1000000]

The first journal holds that many messages that are alive; the second as many that were put,
leased and acked, a hundred at a time, so that one record tells a hundred facts.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from benchmarks.commands import drain, put
from benchmarks.load import about, now, server


def measure(data: Path, what: str, facts: int) -> None:
    """Start on the data and print how long that took."""
    began = now()
    with server("--sync", "100ms", data=data) as running:
        listening_s = now() - began
        figures = running.figures()
        records, seconds = int(figures["recovered_records"]), float(figures["recovery_s"])
        print(
            f"{what:<12} {records:>9,} records in {seconds:6.2f} s: {records / seconds:>9,.0f}/s; "
            f"{facts / seconds:>9,.0f} facts/s; listening after {listening_s:.2f} s; "
            f"{running.rss_bytes() / 1e6:,.0f} MB"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--body", type=int, default=100)
    args = parser.parse_args()
    print(about())
    print(f"{args.messages} messages, bodies of {args.body} bytes")
    for what in ("all alive", "all settled"):
        data = Path(tempfile.mkdtemp(prefix="qserver-bench-"))
        with server("--sync", "100ms", "--segment-bytes-max", "1GiB", data=data) as running:
            put(running, args.messages, args.body)
            if what == "all settled":
                drain(running, args.messages)
        measure(data, what, args.messages * (3 if what == "all settled" else 1))
        shutil.rmtree(data)


if __name__ == "__main__":
    main()
