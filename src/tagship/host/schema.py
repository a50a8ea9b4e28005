"""The verbs that look at a schema: what a release's code has, what its databases have, SQL, and what would be lost.

What a step's digest was, by which release it was applied and what it really added is the journal's to tell: rows
`migrating`, `migrated`, `reversing`, `reversed`, and `broken` for a step that failed.
"""

from __future__ import annotations

import os
from typing import Any

from tagship.host import files, migrated, stored
from tagship.host.context import Args, Context
from tagship.host.schema_asking import Talks, ask_all, steps_of


def heads(context: Context, args: Args) -> dict[str, Any]:
    """What the release's code has, without a database; while it is being staged, release.json tells its heads too."""
    declared = stored.read(context.layout, args.release())
    found = [told for _, told in ask_all(context, declared, {"ask": "heads"})]
    layout, release = context.layout, declared.release
    if release in context.declared and not os.path.exists(layout.release(release, stored.SEALED)):
        told = {one["name"]: one["heads"] for one in found}
        steps = {one["name"]: [step["id"] for step in one["steps"]] for one in found}
        squashed = {one["name"]: one["squashed"] for one in found if one["squashed"]}
        record = {**declared.record, migrated.HEADS: told, migrated.STEPS: steps, migrated.SQUASHED: squashed}
        files.place_json(layout.release(release, stored.RECORD), record, 0o444)
    return {"databases": found}


def schema(context: Context, args: Args) -> dict[str, Any]:
    """`heads`, and what the databases have by their own word and the journal's."""
    declared = stored.read(context.layout, args.release())
    question = {"ask": "state", "sizes": bool(args.raw().get("sizes"))}
    known = migrated.records(context.journal.rows())
    squashed = migrated.squashed(context.layout)
    found = [_with_journal(told, known) for _, told in ask_all(context, declared, question)]
    return {"databases": [_without(told, squashed.get(told["name"], {})) for told in found]}


def _without(told: dict[str, Any], squashed: dict[str, list[str]]) -> dict[str, Any]:
    """Without what stands for steps that are applied: an older release knows those only, and nothing is amiss."""
    applied = {one["id"] for one in told["applied"]}
    hidden = {one for one in told["unknown"] if set(squashed.get(one, [""])) <= applied}
    return {
        **told,
        "applied": [one for one in told["applied"] if one["id"] not in hidden],
        "unknown": [one for one in told["unknown"] if one not in hidden],
    }


def _with_journal(told: dict[str, Any], known: dict[tuple[str, str], migrated.Record]) -> dict[str, Any]:
    name = told["name"]
    digests = {step["id"]: step["digest"] for step in told["steps"]}
    applied = []
    for one in told["applied"]:
        found = known.get((name, one))
        row = (found.applied if found else None) or {}
        kept = found.kept if found else None
        applied.append({"id": one, "digest": row.get("digest"), "by": row.get("release"), "kept": kept})
    edited = [
        one["id"] for one in applied if one["digest"] and digests.get(one["id"], one["digest"]) != one["digest"]
    ]
    partly = [
        {"id": step, "down": bool(found.last.get("down")), "why": str(found.last.get("why", ""))}
        for (database, step), found in known.items()
        if database == name and found.last["event"] == "broken" and found.last.get("partly")
    ]
    return {**told, "applied": applied, "edited": edited, "partly": partly}


def statements(context: Context, args: Args) -> dict[str, Any]:
    """The SQL of steps; nothing is run."""
    declared = stored.read(context.layout, args.release())
    down = bool(args.raw().get("down"))
    found = []
    with Talks(context, declared) as talks:
        for database, step in steps_of(args):
            answer = talks.of(database).ask({"ask": "sql", "database": database, "step": step, "down": down})
            found.append([database, step, answer["text"]])
    return {"sql": found}


def loss(context: Context, args: Args) -> dict[str, Any]:
    """What reversing steps would drop, counted now: only what holds rows, or more than a default."""
    declared = stored.read(context.layout, args.release())
    with Talks(context, declared) as talks:
        return {"loss": loss_of(context, talks, steps_of(args))}


def loss_of(context: Context, talks: Talks, steps: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """What reversing steps would drop: by what the journal knows that they added, else by what their code says."""
    known = migrated.records(context.journal.rows())
    found = []
    for database, step in steps:
        record = known.get((database, step))
        adds = (record.applied or {}).get("adds") if record else None
        question = {"ask": "loss", "database": database, "step": step, "adds": adds}
        told = talks.of(database).ask(question)["loss"]
        found += [{"database": database, "step": step, **one} for one in told if one["rows"] != 0]
    return found
