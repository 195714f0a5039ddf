"""A server in C that answers our client at once and stores nothing; compiled on the spot."""

import hashlib
import subprocess
from pathlib import Path

from benchmarks.comparing import talk
from benchmarks.comparing.compiling import CACHE, FLAGS, NoCompilerError, compiler
from benchmarks.comparing.contestants import Contestant

SOURCE = Path(__file__).parent / "stub.c"


class Stub(Contestant):
    """See stub.c."""

    name = "stub"
    protocol = "qserver"
    stores = False

    def missing(self) -> str | None:
        """Whether it can be compiled."""
        try:
            build()
        except NoCompilerError as error:
            return str(error)
        return None

    def version(self) -> str:
        """What it is."""
        return "in C, stores nothing"

    def command(self, _durability: str, _directory: Path, port: int) -> list[str]:
        """It has no settings."""
        return [str(build()), str(port)]

    def queued(self, port: int) -> int:
        """Nothing, and always something."""
        talk.lines_until(port, b"PING\n", b"OK")
        return 0


def build(cache: Path = CACHE) -> Path:
    """The stub as a program; compiled unless this very source has been.

    Raises:
        NoCompilerError: with why.
    """
    program = cache / f"stub-{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]}"
    if program.exists():
        return program
    cc = compiler()
    if cc is None:
        raise NoCompilerError("the stub is a C program and there is no C compiler here")
    cache.mkdir(parents=True, exist_ok=True)
    fresh = program.with_suffix(".new")
    command = [cc, *FLAGS, "-o", str(fresh), str(SOURCE)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise NoCompilerError(f"{cc} does not compile the stub:\n{result.stderr}")
    fresh.rename(program)
    return program
