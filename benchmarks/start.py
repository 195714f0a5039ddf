"""How long a server takes until clients can connect, and what of it Python itself takes.

    python -m benchmarks.start [--count 15]

Times are of the wall, from the call that starts the process; the least of them is what it takes,
the median what it took here and now. Compare with `import asyncio`, which every server does, too.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from qclient.testing import ServerProcess


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=15)
    count = parser.parse_args().count
    with tempfile.TemporaryDirectory() as directory:
        show("a server listens", [server_s(Path(directory) / str(n)) for n in range(count)])
    show("python -c pass", [run_s("-c", "pass") for _ in range(count)])
    show("python -c 'import asyncio'", [run_s("-c", "import asyncio") for _ in range(count)])
    show("qserver --help", [run_s("-m", "qserver", "--help") for _ in range(count)])


def server_s(data: Path) -> float:
    server = ServerProcess(data)
    began_at = time.perf_counter()
    server.start()
    took_s = time.perf_counter() - began_at
    server.kill()
    return took_s


def run_s(*words: str) -> float:
    began_at = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began_at


def show(what: str, took_s: list[float]) -> None:
    least, median = min(took_s) * 1000, statistics.median(took_s) * 1000
    print(f"{what:<28} least {least:4.0f} ms, median {median:4.0f} ms")


if __name__ == "__main__":
    main()
