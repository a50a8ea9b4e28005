"""The adapter for commands of the project's own. Runs in the release's Python.

The program is called with one more word: `heads` and `applied` print a step in each line, oldest first; `up ID` and
`down ID` do one step; `sql ID up` and `sql ID down` print what that would do. A line is an id, or a JSON object with
an `id` and any of the other keys of a step.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Callable, Optional

if TYPE_CHECKING:
    from tagship.host.schema_program import Session, Step
    from tagship.host.schema_tables import Query


class Adapter:
    """One program, and the database that it knows of."""

    def __init__(self, item: dict[str, Any], session: Session) -> None:
        self._session = session
        self.bookkeeping: set[str] = set()
        self._database: str = item["name"]
        self._argv: list[str] = item["run"]
        self._env = {**os.environ, "PGAPPNAME": session.name}
        limits = [one[len("SET ") :].replace(" ", "") for one in session.settings("postgresql")]
        options = ["-c {}".format(one) for one in limits if not one.startswith("application_name")]
        self._env["PGOPTIONS"] = " ".join([os.environ.get("PGOPTIONS", ""), *options]).strip()

    def _run(self, *words: str) -> str:
        argv = [*self._argv, *words]
        try:
            done = subprocess.run(
                argv, env=self._env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False, text=True
            )
        except OSError as error:
            raise self._session.Told("{}: {}".format(argv[0], error.strerror), "mend `run` of `app.schema`") from None
        if done.returncode:
            sys.stdout.write(done.stdout)
            raise self._session.Told("`{}` failed: exit status {}".format(" ".join(argv), done.returncode), "")
        return done.stdout

    def _rows(self, word: str) -> list[dict[str, Any]]:
        found = []
        for line in filter(None, map(str.strip, self._run(word).splitlines())):
            row = json.loads(line) if line.startswith("{") else {"id": line}
            if not isinstance(row.get("id"), str):
                raise self._session.Told("`{}` printed a line without an id: {}".format(word, line), "")
            found.append(row)
        return found

    def databases(self) -> list[str]:
        """The one."""
        return [self._database]

    def conflicts(self, database: str) -> list[str]:  # noqa: ARG002
        """The program's own business."""
        return []

    def steps(self, database: str) -> list[Step]:  # noqa: ARG002
        """What `heads` prints."""
        found: list[Step] = []
        for row in self._rows("heads"):
            step: Any = {
                "digest": "",
                "parents": [one["id"] for one in found[-1:]],
                "atomic": True,
                "why": "" if row.get("reversible", True) else "the program says so",
                "drops": [],
                "adds": [],
                "locks": [],
                "reversible": True,
                **row,
            }
            found.append(step)
        return found

    def uses(self, database: str) -> Optional[list[list[str]]]:  # noqa: ARG002
        """The application's models aren't ours to know."""
        return None

    def squashed(self, database: str) -> dict[str, list[str]]:  # noqa: ARG002
        """None."""
        return {}

    def applied(self, database: str) -> list[str]:  # noqa: ARG002
        """What `applied` prints."""
        return [row["id"] for row in self._rows("applied")]

    def pending(self, database: str) -> list[str]:
        """What `heads` prints and `applied` doesn't."""
        applied = set(self.applied(database))
        return [row["id"] for row in self._rows("heads") if row["id"] not in applied]

    def begin(self, database: str, steps: list[str]) -> None:
        """It is told each step."""

    def finish(self, database: str, steps: list[str]) -> None:
        """Nothing more."""

    def up(self, database: str, step: str) -> None:
        """`up ID`."""
        self._move(database, "up", step)

    def down(self, database: str, step: str) -> None:
        """`down ID`."""
        self._move(database, "down", step)

    def _move(self, database: str, word: str, step: str) -> None:
        try:
            sys.stdout.write(self._run(word, step))
        except self._session.Told as told:
            atomic = next((one["atomic"] for one in self.steps(database) if one["id"] == step), True)
            if not atomic:
                raise self._session.Told(str(told), partly=True) from None
            raise

    def sql(self, database: str, step: str, down: bool) -> str:  # noqa: ARG002
        """What `sql ID up` or `sql ID down` prints."""
        return self._run("sql", step, "down" if down else "up").strip()

    def lost(self, database: str, step: str) -> list[tuple[str, Any, Any]]:  # noqa: ARG002
        """What it says it adds; one that doesn't say may lose anything."""
        row = next((one for one in self._rows("heads") if one["id"] == step), {})
        return [(table, column, None) for table, column in row.get("adds", [["(unknown)", None]])]

    def look(self, database: str, work: Callable[[str, Query], Any]) -> Any:  # noqa: ARG002
        """The database is the program's own business."""

        def query(sql: str) -> list[tuple[Any, ...]]:
            raise self._session.Told("no way to ask: {}".format(sql), "")

        return work("other", query)
