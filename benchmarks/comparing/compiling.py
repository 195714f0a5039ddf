"""Load generators written in C, compiled on the spot, once for each text of theirs."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

SOURCES = tuple(
    Path(__file__).parent / name for name in ("generator.c", "protocols.c", "generator.h")
)
FLAGS = ("-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror")
CACHE = Path("~/.cache/qserver-bench").expanduser()


class NoCompilerError(Exception):
    """There is no C compiler, or it does not take the sources."""


def compiler() -> str | None:
    """The C compiler: $CC, cc, gcc or clang; None if there is none."""
    names = [os.environ["CC"]] if "CC" in os.environ else ["cc", "gcc", "clang"]
    return next((found for name in names if (found := shutil.which(name))), None)


def build(cache: Path = CACHE, sources: tuple[Path, ...] | None = None) -> Path:
    """A generator as a program, that of the comparison unless others are named.

    It is compiled unless these very sources have been.

    Raises:
        NoCompilerError: with what to do about it.
    """
    sources = SOURCES if sources is None else sources
    text = b"\0".join(path.read_bytes() for path in sources)
    program = cache / f"generator-{hashlib.sha256(text).hexdigest()[:16]}"
    if program.exists():
        return program
    cc = compiler()
    if cc is None:
        raise NoCompilerError(
            "the load generator is a C program and there is no C compiler here: install one "
            "(Debian: apt-get install gcc libc6-dev), or name it in $CC"
        )
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as directory:
        # Moved to its name when it is whole: another run may look for it meanwhile.
        fresh = Path(directory) / program.name
        files = [str(path) for path in sources if path.suffix == ".c"]
        command = [cc, *FLAGS, "-o", str(fresh), *files]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            raise NoCompilerError(f"{cc} does not compile the generator:\n{result.stderr}")
        fresh.rename(program)
    return program
