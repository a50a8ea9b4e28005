"""What is held of each pair of releases: the schema of a fresh install, code that fits it, rows that survive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from schema import small
from schema.story import Expected
from schema.tower import Tower

_ACT = """
import json, os, sys
import django
os.environ["DJANGO_SETTINGS_MODULE"] = "pollsite.settings"
sys.path.insert(0, os.getcwd())
django.setup()
from django.test import RequestFactory
from audit.models import Entry
from polls import views
from polls.models import Choice, Question
requests = RequestFactory()
healthy = views.health(requests.get("/health", headers={"host": "localhost"})).status_code
state = json.loads(views.state(requests.get("/state", headers={"host": "localhost"})).content)
if len(sys.argv) > 1:
    text, who = sys.argv[1:]
    question = Question.ask(text, who)
    choice = Choice.objects.create(question=question, text="yes")
    Entry.record("ask", text, who)
    choice.cast()
    Entry.record("vote", "yes", who)
print(json.dumps({"health": healthy, "state": state}))
"""
"""The release's own code: whether every column that it knows is there, what it keeps, and one more question."""


@dataclass
class Found:
    """What became of a walk."""

    pairs: int = 0
    wrong: list[str] = field(default_factory=list)
    """What didn't hold, each with its pair."""
    rows: int = 0
    """Questions, choices, votes and entries that were written on the way, and seen at each end."""


def prove_polls(made: Tower, walk: Sequence[tuple[str, str]], wanted: Mapping[str, Mapping[str, str]]) -> Found:
    """Take each pair of `walk`, hold it to `wanted`, the fresh installs, and write a question more."""
    found = Found()
    first = walk[0][0]
    made.move(None, first)
    expected = Expected(int(first[1:]))
    _ask(made, first, expected, "begin")
    for old, new in walk:
        made.move(old, new)
        expected.move(int(new[1:]))
        found.pairs += 1
        for alias, text in made.schemas().items():
            if text != wanted[new][alias]:
                found.wrong.append(f"{old} to {new}: {alias} isn't that of a fresh install")
        told = _ask(made, new, expected, f"{old} to {new}")
        if told["health"] != 200:
            found.wrong.append(f"{old} to {new}: /health is {told['health']}")
        before = {key: told["state"][key] for key in ("questions", "entries")}
        if before != told["wanted"]:
            found.wrong.append(f"{old} to {new}: rows differ: {before} instead of {told['wanted']}")
    shown = expected.shown
    found.rows = sum(2 + len(question["choices"]) for question in shown["questions"]) + len(shown["entries"])
    return found


def _ask(made: Tower, tag: str, expected: Expected, text: str) -> dict[str, Any]:
    wanted = expected.shown
    told: dict[str, Any] = made.run(tag, _ACT, text, "ada")
    expected.ask(text, "ada", {"yes": 1})
    return {**told, "wanted": wanted}


def prove_books(made: Tower, walk: Sequence[tuple[str, str]]) -> Found:
    """The same of the smaller stories."""
    found = Found()
    wanted = small.fresh(made.postgres, made.story.name)
    first = walk[0][0]
    made.move(None, first)
    titles = [_book(made, first, "begin")]
    for old, new in walk:
        made.move(old, new)
        found.pairs += 1
        if made.schemas() != wanted[new]:
            found.wrong.append(f"{old} to {new}: the schema isn't that of a fresh install")
        made.postgres.query(made.names["books"], small.question(new))
        titles.append(_book(made, new, f"{old} to {new}"))
        column = "name" if new == "v3" else "title"
        rows = made.postgres.query(made.names["books"], f"SELECT {column} FROM book ORDER BY id")
        if [row[0] for row in rows] != titles:
            found.wrong.append(f"{old} to {new}: rows differ: {rows}")
    found.rows = len(titles)
    return found


def _book(made: Tower, tag: str, title: str) -> str:
    column = "name" if tag == "v3" else "title"
    made.postgres.query(made.names["books"], f"INSERT INTO book ({column}) VALUES ('{title}')")
    return title
