"""A project with two databases of SQLite's in `shared/`; its virtualenv borrows Django from ours."""

from __future__ import annotations

import sqlite3
import sysconfig
from collections.abc import Mapping

from unit.schema.projects import AUDIT, POLLS, django
from verbs.project import Project

_BORROW = """\
import pathlib
import sysconfig

pathlib.Path(sysconfig.get_paths()["purelib"], "ours.pth").write_text({ours!r} + "\\n")
"""
_SCHEMA = """\
  schema:
    - {kind: django, databases: [default, audit], settings: settings}
  schema_limits: {deadline: 60s}
  shared: {dirs: [data]}
  env: .env
"""


class Migrated:
    """The project, its databases, and tags with steps."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.data = project.root / "shared" / "data"
        project.lighten()
        project.write({"borrow.py": _BORROW.format(ours=sysconfig.get_paths()["purelib"])})
        project.edit("tagship.yml", r"(?m)^    - python3 hold.py\n", "    - python3 borrow.py\n")
        project.edit("tagship.yml", r"(?m)^  #schema:\n", _SCHEMA + "  #schema:\n")
        env = project.root / "shared" / ".env"
        env.parent.mkdir(parents=True)
        env.write_text(f"MAIN_URL=sqlite:///{self.data}/main.db\nAUDIT_URL=sqlite:///{self.data}/audit.db\n")
        env.chmod(0o600)

    def tag(
        self,
        name: str,
        polls: Mapping[str, str] = POLLS,
        audit: Mapping[str, str] = AUDIT,
        app: Mapping[str, str] | None = None,
    ) -> str:
        """A tag whose applications have these steps, and no others; `app` are files beside them."""
        self.project.git("rm", "-r", "-q", "--ignore-unmatch", "--force", "polls", "audit")
        self.project.tag(name, {**django(polls, audit), "version.txt": name, **(app or {})})
        return name

    def rows(self, database: str, sql: str) -> list[tuple[object, ...]]:
        """What a statement gives or does, in `main` or `audit`."""
        with sqlite3.connect(self.data / f"{database}.db") as connection:
            return connection.execute(sql).fetchall()

    def schema(self) -> dict[str, list[str]]:
        """The tables and columns of both, without those of Django's own."""
        tables = (
            "SELECT m.name || '.' || c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type='table'"
        )
        mine = f"{tables} AND m.name NOT LIKE 'django%' AND m.name NOT LIKE 'sqlite%' ORDER BY 1"
        return {name: [str(row[0]) for row in self.rows(name, mine)] for name in ("main", "audit")}
