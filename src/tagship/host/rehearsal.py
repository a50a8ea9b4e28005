"""The verb `rehearse`: a staged release's migrations, tried out on copies of its databases."""

from __future__ import annotations

from typing import Any

from tagship.host import schema_talk, stored
from tagship.host.context import Args, Context
from tagship.host.faults import failed


class Rehearsing(schema_talk.Talk):
    """A program that can also rehearse."""

    def program(self) -> str:
        """What is sent to the release's own Python."""
        return program_text()


def program_text() -> str:
    """Both texts, one after the other; what may only stand where a module begins is there once."""
    more = schema_talk.text_of("rehearsal_program").replace("from __future__ import annotations\n", "\n", 1)
    return schema_talk.text_of("schema_program") + "\n" + more


def rehearse(context: Context, args: Args) -> dict[str, Any]:
    """Take what is pending up, down and up again: on copies (`copy`) of what is there now, or of the newest dump.

    Without `copy`, on the databases themselves, which must be empty.
    """
    release, dump = args.release(), args.optional("dump")
    declared = stored.read(context.layout, release)
    found: list[dict[str, Any]] = []
    items = declared.settings.get("schema") or []
    if not items:
        raise failed("{} has no schema".format(release), "name its databases in `app.schema`")
    question = {"ask": "rehearse", "copy": bool(args.raw().get("copy")), "dump": dump}
    for number, item in enumerate(items):
        context.progress(number, len(items), "databases")
        talk = Rehearsing(
            context.layout,
            declared,
            item,
            session=schema_talk.name(schema_talk.LOOKER, release),
            limits=args.inner("limits").raw(),
            pause=context.lifeline.check,
        )
        try:
            found += talk.ask(question)["databases"]
        except schema_talk.Ended:
            raise talk.how() from None
        finally:
            talk.end()
    return {"databases": found}
