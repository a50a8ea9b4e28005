"""A PostgreSQL server of the tests' own: made anew for each run, on a unix socket, gone with it.

A test asks for the fixture `postgres`, which `tests/conftest.py` offers to all rooms.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

USER = "tester"
PACKAGE = "postgresql"
_PLACES = "/usr/lib/postgresql/*/bin"
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=60", "shared_buffers=16MB")


class Postgres:
    """A server that runs; every role may do everything, and nobody needs a password."""

    def __init__(self, programs: Path, folder: Path, listen: str = "") -> None:
        self.programs = programs
        self.folder = folder
        """Where its socket is, open to everybody on this machine."""
        self.listen = listen
        """The address at which it listens too, where it does."""

    def url(self, database: str) -> str:
        """Where a database is, as libpq, SQLAlchemy and yoyo all read it."""
        return f"postgresql://{USER}@/{database}?host={self.folder}"

    def url_from_afar(self, database: str) -> str:
        """Where a database is for who is on the network of `listen`."""
        return f"postgresql://{USER}@{self.listen}/{database}"

    def create(self, database: str, template: str = "template0") -> str:
        """Make a database, empty or a copy; gives its `url`. One of that name goes first."""
        self.drop(database)
        self.run("createdb", "--template", template, database)
        return self.url(database)

    def drop(self, database: str) -> None:
        """Have no such database any more, whoever uses it."""
        self.run("dropdb", "--if-exists", "--force", database)

    def dump(self, database: str) -> str:
        """Its schema as `pg_dump -s` writes it, without comments, empty lines and what differs by chance."""
        text = self.run("pg_dump", "--schema-only", "--no-owner", database)
        kept = (
            line for line in text.splitlines() if line and not line.startswith(("--", "\\", "SET ", "SELECT pg_"))
        )
        return "\n".join(kept)

    def query(self, database: str, sql: str) -> list[list[str]]:
        """Rows of a statement, as text."""
        text = self.run("psql", "-XAtq", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", sql)
        return [line.split("\t") for line in text.splitlines()]

    def run(self, program: str, *words: str) -> str:
        """A program of PostgreSQL's own, beside this server; what it said. Raises `CalledProcessError`."""
        env = {"PATH": os.environ["PATH"], "PGHOST": str(self.folder), "PGUSER": USER, "LANG": "C.UTF-8"}
        done = subprocess.run([self.programs / program, *words], env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, program, done.stdout, done.stderr)
        return done.stdout


def programs() -> Path | None:
    """Where PostgreSQL's programs are, those of the newest version; `None` where it isn't installed."""
    found = [path.parent for path in Path("/").glob(f"{_PLACES[1:]}/initdb")]
    return max(found, key=lambda path: float(path.parent.name), default=None)


@contextmanager
def server(listen: str = "") -> Iterator[Postgres]:
    """A server for as long as the block lasts. It refuses to run as root: then it is nobody's.

    `listen` is an address of this machine where its /24 may come in, too.
    """
    found = programs()
    if found is None:
        raise FileNotFoundError(PACKAGE)
    top = Path(tempfile.mkdtemp(prefix="pg"))
    folder, data = top / "socket", top / "data"
    for path in (top, folder):
        path.mkdir(exist_ok=True)
        path.chmod(0o755)
    made = Postgres(found, folder, listen)
    chosen = (*_FAST, f"unix_socket_directories={folder}", f"listen_addresses={listen}")
    settings = [word for setting in chosen for word in ("-c", setting)]
    try:
        owner = None
        if os.geteuid() == 0:
            owner = pwd.getpwnam("nobody").pw_uid
            for path in (top, folder):
                os.chown(path, owner, -1)
        _as(owner, [found / "initdb", "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N", "-D", data])
        if listen:
            with (data / "pg_hba.conf").open("a") as rules:
                rules.write(f"host all all {listen}/24 trust\n")
        with (top / "log").open("wb") as log:
            argv = [found / "postgres", "-D", data, *settings]
            process = subprocess.Popen(
                argv,
                stdout=log,
                stderr=log,
                user=owner,
                start_new_session=True,
            )
        try:
            _as(None, [found / "pg_isready", "-q", "-h", folder, "-t", "30"], tries=300)
            yield made
        finally:
            process.send_signal(signal.SIGINT)  # SIGTERM would wait for clients
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(top)


def _as(owner: int | None, argv: Sequence[str | Path], tries: int = 1) -> None:
    for last in range(tries - 1, -1, -1):
        done = subprocess.run(argv, capture_output=True, text=True, check=False, user=owner, cwd="/")
        if not done.returncode:
            return
        if last:
            time.sleep(0.1)
    raise RuntimeError(f"{argv[0]}: {done.stdout}{done.stderr}")
