"""The optional compiled build; all else of the packaging is in pyproject.toml.

    QSERVER_COMPILE=1 pip install .

compiles the pure rooms of the server to C, with mypyc. The variable says:

    unset, empty, 0   plain Python: no compiler is needed, and none looked for
    1                 compiled; the build fails, and says what is missing, if it can't be
    auto              compiled where there are a C compiler and Python's headers, else plain

What it brings, and why some modules are left out: qserver/DESIGN.md, "Compiled".
"""

import os
import shlex
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

from setuptools import Extension, setup

NEEDED = ("mypy>=2", "msgspec>=0.19", "structlog>=24", "zlib-ng>=0.5")
"""What a compiled build needs: mypyc is a part of mypy, which looks into the others for types."""

ROOMS = ("wire", "broker", "dispatch")
"""Rooms that are compiled as wholes."""

MORE = (
    *("qserver/storage/recorder.py", "qserver/storage/memory.py"),
    *("qserver/storage/file.py", "qserver/storage/segment.py", "qserver/storage/room.py"),
    *("qserver/server/connection.py", "qserver/server/server.py"),
    *("qserver/server/commit.py", "qserver/server/compactor.py", "qserver/server/busy_poll.py"),
    "qserver/server/rota.py",
)
"""What else is compiled with them: each request by itself, or each turn, passes through these."""

LEFT_OUT = ("qserver/broker/message.py",)
"""What of the rooms is not: a class that derives from msgspec's can't be a native one."""


def compiles() -> bool:
    """Whether this is to be a compiled build.

    Raises:
        SystemExit: it is, and can't be; or nobody knows.
    """
    asked = os.environ.get("QSERVER_COMPILE", "")
    if asked in ("", "0"):
        return False
    if asked not in ("1", "auto"):
        sys.exit(f"QSERVER_COMPILE={asked} is none of: 1, 0, auto")
    missing = what_is_missing()
    if missing and asked == "1":
        sys.exit(
            f"QSERVER_COMPILE=1, and there is no {missing}: on Debian, apt install gcc python3-dev;"
            " QSERVER_COMPILE=auto makes it plain Python where that is missing"
        )
    return not missing


def what_is_missing() -> str:
    """What it takes to compile and isn't there; empty if all is."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    if shutil.which(compiler) is None:
        return f"C compiler ({compiler})"
    return "" if header().exists() else str(header())


def header() -> Path:
    """The header of Python that everything compiled includes."""
    return Path(sysconfig.get_path("include"), "Python.h")


def files() -> list[str]:
    """The sources that are compiled."""
    rooms = {str(path) for room in ROOMS for path in Path("qserver", room).glob("[!_]*.py")}
    return sorted(rooms.union(MORE).difference(LEFT_OUT))


def extensions(place: str) -> list[Extension]:
    """These as one shared library, in which calls are C calls, and a small one for each name."""
    from mypyc.build import mypycify  # noqa: PLC0415 - only a compiled build has it

    arguments = ["--config-file=", "--strict", *files()]
    return mypycify(arguments, group_name="qserver", target_dir=place)


def main() -> None:
    """Build, or say what that takes: pip asks first, with `egg_info`, and installs it.

    In a directory of its own: what an older build has left in `build/` would be installed too.
    """
    is_compiled = compiles()
    with tempfile.TemporaryDirectory() as place:
        options = {"build": {"build_base": place}}
        if not is_compiled:
            setup(options=options)
        elif {"egg_info", "dist_info"} & {*sys.argv}:
            setup(options=options, setup_requires=NEEDED)
        else:
            setup(options=options, ext_modules=extensions(place))


if __name__ == "__main__":
    main()
