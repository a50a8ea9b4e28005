"""Asking a release's own code about its databases: programs that only look, a few at a time."""

from __future__ import annotations

from typing import Any, Iterator, Optional

from tagship.host import schema_talk, stored
from tagship.host.context import Args, Context
from tagship.host.faults import Problem, refused, usage

LIMITS = {"lock_timeout": 5.0, "statement_timeout": 900.0, "deadline": 3600.0}
"""Seconds, where nobody says otherwise."""


def steps_of(args: Args) -> list[tuple[str, str]]:
    """The argument `steps`, as `(database, id)` each."""
    found = args.items("steps")
    for one in found:
        if not isinstance(one, list) or len(one) != 2 or not all(isinstance(word, str) and word for word in one):
            raise usage("a step is [database, id]")
    return [(one[0], one[1]) for one in found]


def ask_all(
    context: Context, declared: stored.Declared, question: dict[str, Any]
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each database of each item, with its kind."""
    seen = set()
    for item in declared.settings.get("schema", ()):
        with Talks(context, declared) as talks:
            for told in talks.start(item).ask(question)["databases"]:
                if told["name"] in seen:
                    raise refused(
                        "two items of the schema have the database {}".format(told["name"]), "name them apart"
                    )
                seen.add(told["name"])
                yield item, {"name": told.pop("name"), "kind": item["kind"], **told}


class Talks:
    """Programs that look, started where a database is asked for and ended together."""

    def __init__(self, context: Context, declared: stored.Declared) -> None:
        self._context = context
        self._declared = declared
        self._open: list[schema_talk.Talk] = []
        self._by_name: dict[str, schema_talk.Talk] = {}
        self._known: dict[tuple[str, str], dict[str, Any]] = {}
        self._left = list(declared.settings.get("schema", ()))

    def __enter__(self) -> "Talks":
        return self

    def __exit__(self, *_: object) -> None:
        for talk in self._open:
            talk.end()

    def start(self, item: dict[str, Any]) -> schema_talk.Talk:
        """One for an item; raises `failed` where it ends at once."""
        context = self._context
        talk = _Looking(
            context.layout,
            self._declared,
            item,
            session=schema_talk.name(schema_talk.LOOKER, self._declared.release),
            limits=LIMITS,
            pause=context.lifeline.check,
        )
        self._open.append(talk)
        return talk

    def of(self, database: str) -> schema_talk.Talk:
        """The one for a database; raises `refused` where the release has no such."""
        while database not in self._by_name and self._left:
            item = self._left.pop(0)
            talk = self.start(item)
            for told in talk.ask({"ask": "heads"})["databases"]:
                self._by_name[told["name"]] = talk
                self._known.update({(told["name"], step["id"]): step for step in told["steps"]})
        if database not in self._by_name:
            raise refused(
                "{} has no database {}".format(self._declared.release, database),
                "`app.schema` of its tag names those",
            )
        return self._by_name[database]

    def find(self, database: str, step: str) -> Optional[dict[str, Any]]:
        """What the code says of a step, if it has it."""
        try:
            self.of(database)
        except Problem:
            return None
        return self._known.get((database, step))

    def step(self, database: str, step: str) -> dict[str, Any]:
        """What the code says of a step; raises `refused` where it hasn't it."""
        self.of(database)
        if (database, step) not in self._known:
            raise refused(
                "{} has no step {}/{}".format(self._declared.release, database, step),
                "only the code that applied it can reverse it",
            )
        return self._known[database, step]


class _Looking(schema_talk.Talk):
    """One whose end is a failure like any other."""

    def answer(self) -> dict[str, Any]:
        """The answer; raises `failed` also where the program ends."""
        try:
            return super().answer()
        except schema_talk.Ended:
            raise self.how() from None
