"""A virtual environment for each library, made once and kept."""

import subprocess
import sys
from pathlib import Path

from benchmarks.peer_apps.catalogue import Peer


class Missing(Exception):
    """Something that a measurement needs is not there, or did not come to an end."""


def environment(peer: Peer, venvs: Path) -> Path:
    """The interpreter of a library's environment, installed from PyPI unless it is there.

    Raises:
        Missing: pip could not install it.
    """
    place = venvs / peer.name
    python = place / "bin" / "python"
    asked = place / "installed.txt"
    wanted = "\n".join(peer.packages)
    if asked.exists() and asked.read_text() == wanted:
        return python
    install = [str(python), "-m", "pip", "install", "--quiet", *peer.packages]
    for command in ([sys.executable, "-m", "venv", str(place)], install):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise Missing(said[-1] if said else f"{command} failed")
    asked.write_text(wanted)
    return python


def versions(peer: Peer, python: Path) -> str:
    """What is installed of what was asked for, as `name==version`."""
    frozen = subprocess.run(
        [str(python), "-m", "pip", "freeze"], capture_output=True, text=True, check=True
    ).stdout.split()
    names = {package.partition("[")[0].lower() for package in peer.packages} | {"redis", "coredis"}
    return " ".join(each for each in frozen if each.partition("==")[0].lower() in names)
