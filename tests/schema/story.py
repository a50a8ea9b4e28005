"""The story of ten releases: examples/django-polls, up and down, and what must be seen at each of them.

What is promised is told by `Expected`, which knows the releases from their README, and by a fresh install of each.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from postgres import Postgres

EXAMPLE = Path(__file__).parents[2] / "examples" / "django-polls"
NEWEST = 10
"""The highest release that can be gone back from."""
NO_WAY_BACK = 11
ALIASES = {"default": "DATABASE_URL", "audit": "AUDIT_DATABASE_URL"}
"""The databases, and the variables that hold their URLs."""


def columns_sorted(dump: str) -> str:
    """A `pg_dump -s` whose tables have their columns in the order of names.

    A column that went and came again stands last in its table, in PostgreSQL for ever; all else must be the same.
    """
    found: list[str] = []
    inside: list[str] | None = None
    for line in dump.splitlines():
        if inside is not None and line.startswith(")"):
            found += sorted(inside)
            inside = None
        if inside is None:
            found.append(line)
        else:
            inside.append(line.rstrip(","))
        if line.startswith("CREATE TABLE "):
            inside = []
    return "\n".join(found)


def schemas(postgres: Postgres, names: dict[str, str]) -> dict[str, str]:
    """The normalised schema of each database, by what the project calls it; `names` are those of the server."""
    return {alias: columns_sorted(postgres.dump(name)) for alias, name in names.items()}


def make_releases(folder: Path, env: dict[str, str]) -> None:
    """What the README says: a repository in a copy of the example, with a tag for each release."""
    subprocess.run([sys.executable, "make_releases.py"], cwd=folder, env=env, check=True, capture_output=True)


@dataclass
class Expected:
    """What the application must show, whichever way it came to its release; rows as every release tells them."""

    level: int
    questions: list[dict[str, Any]] = field(default_factory=list)
    entries: list[list[str | None]] = field(default_factory=list)

    def ask(self, text: str, who: str, choices: dict[str, int]) -> None:
        """Somebody asks, and others vote, under the release of now."""
        knows = self.level >= 2
        self.questions.append(
            {"text": text, "by": who if knows else None, "choices": [[*c] for c in choices.items()]}
        )
        self._entry("ask", text, who)
        for choice, votes in choices.items():
            for _ in range(votes):
                self._entry("vote", "" if self.level >= NO_WAY_BACK else choice, who)

    def move(self, level: int) -> None:
        """To another release: what that one doesn't know is gone for ever."""
        for question in self.questions:
            if level < 2:
                question["by"] = None
            elif level >= 3 > self.level and question["by"] is None:
                question["by"] = "somebody"
        for entry in self.entries:
            if level < 3:
                entry[2] = None
            if level >= NO_WAY_BACK > self.level and entry[0] == "vote":
                entry[1] = ""
        self.level = level

    @property
    def shown(self) -> dict[str, Any]:
        """The body of `/state`, without the release."""
        return {
            "questions": [{**question, "by": question["by"] or ""} for question in self.questions],
            "entries": [[action, subject, who or ""] for action, subject, who in self.entries],
        }

    def _entry(self, action: str, subject: str, who: str) -> None:
        self.entries.append([action, subject, who if self.level >= 3 else None])


class Visitor:
    """Somebody with a browser at `front`, `ADDRESS:PORT`."""

    def __init__(self, front: str) -> None:
        self.front = front
        self._cookie = ""

    def state(self) -> dict[str, Any]:
        """All that the application keeps, and its release."""
        status, body = self._ask("GET", "/state")
        assert status == 200, body
        found: dict[str, Any] = json.loads(body)
        return found

    def health(self) -> int:
        """The status of `/health`, which asks for every column that the code knows."""
        return self._ask("GET", "/health")[0]

    def ask(self, text: str, who: str, choices: dict[str, int]) -> None:
        """Fill in both forms, as often as there are votes."""
        self._post("/", {"text": text, "choices": "\n".join(choices), "who": who})
        page = self._ask("GET", "/")[1]
        article = next(part for part in page.split("<article>") if f"<h2>{text}</h2>" in part)
        numbers = re.findall(r'action="(/vote/\d+)"', article)
        for address, votes in zip(numbers, choices.values(), strict=True):
            for _ in range(votes):
                self._post(address, {"who": who})

    def _post(self, path: str, fields: dict[str, str]) -> None:
        page = self._ask("GET", "/")[1]
        (token, *_) = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        status, body = self._ask("POST", path, urllib.parse.urlencode({**fields, "csrfmiddlewaretoken": token}))
        assert status == 302, (status, body)

    def _ask(self, method: str, path: str, body: str | None = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self.front, timeout=30)
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if body is not None else {}
        if self._cookie:
            headers["Cookie"] = self._cookie
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            for cookie in answer.headers.get_all("Set-Cookie", []):
                self._cookie = cookie.partition(";")[0]
            return answer.status, answer.read().decode()
        finally:
            connection.close()


def environment(home: Path) -> dict[str, str]:
    """A user's environment with `home`, in which nothing of ours leaks."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "TAGSHIP_", "DJANGO_"))}
    return {
        **kept,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "HOME": str(home),
        "XDG_CONFIG_HOME": os.environ.get("XDG_CONFIG_HOME", str(Path.home() / ".config")),  # pip's own settings
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{who}_NAME": "Ada" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_EMAIL": "ada@example.org" for who in ("AUTHOR", "COMMITTER")},
    }
