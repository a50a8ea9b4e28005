"""The verbs of the schema: what a release's code has, what its databases have, and up and down between the two.

What a step's digest was, by which release it was applied and what it really added is the journal's to tell: rows
`migrating`, `migrated`, `reversing`, `reversed`, and `broken` for a step that failed.
"""

from __future__ import annotations

import os
import time
from typing import Any, Iterator, NamedTuple, Optional

from tagship.host import access, command, environment, files, procs, schema_run, schema_talk, stored
from tagship.host.context import Args, Context
from tagship.host.faults import Problem, failed, refused, usage

HEADS = "heads"
"""What release.json says of its schema: `{database: [id]}`."""
BACKUPS = "backups"
"""Below `shared/`: what `before_up` writes."""
_LIMITS = {"lock_timeout": 5.0, "statement_timeout": 900.0, "deadline": 3600.0}
_MOVED = ("migrating", "migrated", "reversing", "reversed", "broken")

Name = "tuple[str, str]"


class Record(NamedTuple):
    """What the journal's last rows say of one step of one database."""

    event: str
    applied: Optional[dict[str, Any]]
    """The row that tells how it was applied, while it is."""
    last: dict[str, Any]


def heads(context: Context, args: Args) -> dict[str, Any]:
    """What the release's code has, without a database; while it is being staged, release.json tells its heads too."""
    declared = stored.read(context.layout, args.release())
    found = [told for _, told in _ask_all(context, declared, {"ask": "heads"})]
    layout, release = context.layout, declared.release
    if release in context.declared and not os.path.exists(layout.release(release, stored.SEALED)):
        record = {**declared.record, HEADS: {one["name"]: one["heads"] for one in found}}
        files.place_json(layout.release(release, stored.RECORD), record, 0o444)
    return {"databases": found}


def schema(context: Context, args: Args) -> dict[str, Any]:
    """`heads`, and what the databases have by their own word and the journal's."""
    declared = stored.read(context.layout, args.release())
    question = {"ask": "state", "sizes": bool(args.raw().get("sizes"))}
    known = records(context)
    return {"databases": [_with_journal(told, known) for _, told in _ask_all(context, declared, question)]}


def _with_journal(told: dict[str, Any], known: dict[tuple[str, str], Record]) -> dict[str, Any]:
    name = told["name"]
    digests = {step["id"]: step["digest"] for step in told["steps"]}
    applied = []
    for one in told["applied"]:
        found = known.get((name, one))
        row = (found.applied if found else None) or {}
        applied.append({"id": one, "digest": row.get("digest"), "by": row.get("release")})
    edited = [
        one["id"] for one in applied if one["digest"] and digests.get(one["id"], one["digest"]) != one["digest"]
    ]
    partly = [
        {"id": step, "down": bool(found.last.get("down")), "why": str(found.last.get("why", ""))}
        for (database, step), found in known.items()
        if database == name and found.event == "broken" and found.last.get("partly")
    ]
    return {**told, "applied": applied, "edited": edited, "partly": partly}


def statements(context: Context, args: Args) -> dict[str, Any]:
    """The SQL of steps; nothing is run."""
    declared = stored.read(context.layout, args.release())
    down = bool(args.raw().get("down"))
    found = []
    with _Talks(context, declared) as talks:
        for database, step in _steps(args):
            answer = talks.of(database).ask({"ask": "sql", "database": database, "step": step, "down": down})
            found.append([database, step, answer["text"]])
    return {"sql": found}


def loss(context: Context, args: Args) -> dict[str, Any]:
    """What reversing steps would drop, counted now: only what holds rows, or more than a default."""
    declared = stored.read(context.layout, args.release())
    with _Talks(context, declared) as talks:
        return {"loss": _loss(context, talks, _steps(args))}


def _loss(context: Context, talks: "_Talks", steps: list[tuple[str, str]]) -> list[dict[str, Any]]:
    known = records(context)
    found = []
    for database, step in steps:
        record = known.get((database, step))
        adds = (record.applied or {}).get("adds") if record else None
        question = {"ask": "loss", "database": database, "step": step, "adds": adds}
        told = talks.of(database).ask(question)["loss"]
        found += [{"database": database, "step": step, **one} for one in told if one["rows"] != 0]
    return found


def up(context: Context, args: Args) -> dict[str, Any]:
    """Back up, then apply steps in the order given, each journaled before and after."""
    release, steps, limits = args.release(), _steps(args), _limits(args)
    declared = stored.read(context.layout, release)
    before = args.texts("before") if args.raw().get("before") is not None else []
    if not steps:
        return {"applied": [], "backup": None}
    backup = _back_up(context, declared, before) if before else None
    try:
        return {**_move(context, release, steps, limits, down=False), "backup": backup}
    except Problem as problem:
        problem.data["backup"] = backup
        raise


def down(context: Context, args: Args) -> dict[str, Any]:
    """Reverse steps in the order given; with `only`, of what this change applied what is safe to reverse.

    Unless `drop` allows it, a step that would lose rows is `refused` with all others, and with `only` kept.
    """
    release, steps, limits = args.release(), _steps(args), _limits(args)
    only, drop = bool(args.raw().get("only")), bool(args.raw().get("drop"))
    declared = stored.read(context.layout, release)
    if only:
        mine = _applied_now(context)
        steps = [one for one in mine if not steps or one in steps]
    if not steps:
        return {"reversed": [], "kept": []}
    why = _reasons(context, declared, steps, drop=drop)
    if why and not only:
        database, step, line = why[0]
        raise refused("{}/{} can't be reversed: {}".format(database, step, line), "--keep-schema leaves it up")
    kept = _kept(steps, why)
    chosen = [one for one in steps if one not in {(database, step) for database, step, _ in kept}]
    told = _move(context, release, chosen, limits, down=True) if chosen else {"reversed": []}
    return {**told, "kept": [list(one) for one in kept]}


def _kept(steps: list[tuple[str, str]], why: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """What stays: a step with a reason, and in its database every step below it, which it may stand on."""
    reasons = {(database, step): line for database, step, line in why}
    held: dict[str, str] = {}
    found = []
    for database, step in steps:
        line = reasons.get((database, step))
        if line is None and database in held:
            line = "{} stays, which came after it".format(held[database])
        if line is not None:
            held.setdefault(database, step)
            found.append((database, step, line))
    return found


def _reasons(
    context: Context, declared: stored.Declared, steps: list[tuple[str, str]], *, drop: bool
) -> list[tuple[str, str, str]]:
    """Why steps can't be reversed: no way back, or rows that would go."""
    found = []
    with _Talks(context, declared) as talks:
        for database, step in steps:
            known = talks.step(database, step)
            lost = [] if drop or not known["reversible"] else _loss(context, talks, [(database, step)])
            if not known["reversible"]:
                found.append((database, step, str(known["why"])))
            elif lost:
                found.append((database, step, "it would lose {}".format(", ".join(map(_what, lost)))))
    return found


def _what(one: dict[str, Any]) -> str:
    place = one["table"] if one["column"] is None else "{}.{}".format(one["table"], one["column"])
    return "what is in {}".format(place) if one["rows"] is None else "{} rows of {}".format(one["rows"], place)


def _applied_now(context: Context) -> list[tuple[str, str]]:
    """What the change under way has applied and not reversed, newest first, whichever session it was."""
    change = context.change.number if context.change else 0
    found = records(context).items()
    mine = [name for name, record in found if record.applied is not None and record.applied.get("change") == change]
    return mine[::-1]


def settled(context: Context, args: Args) -> dict[str, Any]:
    """Whether a migration of a session that died goes on; where none does, the journal is told how each ended."""
    release = args.release()
    declared = stored.read(context.layout, release)
    sessions = 0
    for item in declared.settings.get("schema", ()):
        with _Talks(context, declared) as talks:
            talk = talks.start(item)
            told = talk.ask({"ask": "sessions", "prefix": schema_talk.MOVER, "end": "", "wait": 0.0})
            sessions += sum(told["sessions"].values())
    running = sessions > 0 or bool(_movers(context))
    if not running:
        _settle(context, declared)
    return {"running": running, "sessions": sessions}


def _movers(context: Context) -> list[int]:
    """Programs that migrate this stage: their environment tells of which release they are."""
    folder = context.layout.releases + "/"
    found = []
    for pid in procs.pids():
        words = (files.read("/proc/{}/cmdline".format(pid)) or b"").split(b"\0")
        if words[0].startswith(os.fsencode(folder)) and b"<sent: schema>" in b" ".join(words[1:6]):
            found.append(pid)
    return found


def _settle(context: Context, declared: stored.Declared) -> None:
    """Journal how steps ended whose warden was killed: by the word of the database."""
    open_ones = {name: found for name, found in records(context).items() if found.event in ("migrating", "reversing")}
    if not open_ones:
        return
    with _Talks(context, declared) as talks:
        for (database, step), found in open_ones.items():
            known = talks.find(database, step)
            if known is None:
                continue  # of a release that this one knows nothing of: that one settles it
            there = step in talks.of(database).ask({"ask": "applied", "database": database})["applied"]
            going_down = found.event == "reversing"
            more: dict[str, Any] = {"database": database, "id": step}
            if there != going_down:
                event = "reversed" if going_down else "migrated"
                digest = found.last.get("digest")
                context.note(event, found.last.get("release"), **more, digest=digest, seconds=None)
            else:
                more = {**more, "down": going_down, "partly": not known["atomic"], "why": "what migrated was killed"}
                context.note("broken", found.last.get("release"), **more)


def records(context: Context) -> dict[tuple[str, str], Record]:
    """By database and id, what the journal says of each step, in the order in which they were last moved."""
    found: dict[tuple[str, str], Record] = {}
    for row in context.journal.rows():
        database, step = row.get("database"), row.get("id")
        if row["event"] not in _MOVED or not isinstance(database, str) or not isinstance(step, str):
            continue
        before = found.pop((database, step), None)
        applied = before.applied if before else None
        if row["event"] == "migrated":
            applied = row
        elif row["event"] == "reversed":
            applied = None
        found[database, step] = Record(row["event"], applied, row)
    return found


def _move(
    context: Context, release: str, steps: list[tuple[str, str]], limits: dict[str, float], *, down: bool
) -> dict[str, Any]:
    """Have a warden do it. From now on nobody removes this release because its client went: it may be needed."""
    context.takes(limits["deadline"] + schema_run.MARGIN)
    context.declared.discard(release)
    number = context.change.number if context.change else 0
    return schema_run.start(
        context,
        {
            "release": release,
            "steps": steps,
            "down": down,
            "limits": limits,
            "by": context.lock.owner,
            "change": number,
        },
    )


def _back_up(context: Context, declared: stored.Declared, before: list[str]) -> str:
    """Run the backup; the file that it was to write, which must be there and hold something."""
    layout, release = context.layout, declared.release
    access.share(layout, BACKUPS, False)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    path = os.path.join(layout.shared, BACKUPS, "{}.{}".format(release, stamp))
    log = layout.command_log(release)
    since = os.stat(log).st_size if os.path.exists(log) else 0
    named = any("{backup}" in word for word in before)
    seconds = command.run(
        context,
        layout,
        environment.inside(layout, release, [word.replace("{backup}", path) for word in before]),
        env=environment.base(layout, release),
        cwd=layout.root,
        log=log,
        title="before_up",
        secrets=environment.secrets(layout, declared),
        relayed=layout.ready is not None,
    )
    path = path if named else next(iter(files.tail(log, since)[-1:]), "").strip()
    if not os.path.isabs(path) or not os.path.isfile(path) or not os.path.getsize(path):
        raise failed(
            "before_up wrote no backup{}".format(" to {}".format(path) if named else ""),
            "have it write to `{backup}`, or print the path of what it wrote in its last line",
        )
    context.note("backup", release, path=path, bytes=os.path.getsize(path), seconds=seconds)
    return path


def _steps(args: Args) -> list[tuple[str, str]]:
    found = args.items("steps")
    for one in found:
        if not isinstance(one, list) or len(one) != 2 or not all(isinstance(word, str) and word for word in one):
            raise usage("a step is [database, id]")
    return [(one[0], one[1]) for one in found]


def _limits(args: Args) -> dict[str, float]:
    given = args.inner("limits")
    return {name: given.number(name) if name in given.raw() else default for name, default in _LIMITS.items()}


def _ask_all(
    context: Context, declared: stored.Declared, question: dict[str, Any]
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each database of each item, with its kind."""
    seen = set()
    for item in declared.settings.get("schema", ()):
        with _Talks(context, declared) as talks:
            for told in talks.start(item).ask(question)["databases"]:
                if told["name"] in seen:
                    raise refused(
                        "two items of the schema have the database {}".format(told["name"]), "name them apart"
                    )
                seen.add(told["name"])
                yield item, {"name": told.pop("name"), "kind": item["kind"], **told}


class _Talks:
    """Programs that look, started where a database is asked for and ended together."""

    def __init__(self, context: Context, declared: stored.Declared) -> None:
        self._context = context
        self._declared = declared
        self._open: list[schema_talk.Talk] = []
        self._by_name: dict[str, schema_talk.Talk] = {}
        self._known: dict[tuple[str, str], dict[str, Any]] = {}
        self._left = list(declared.settings.get("schema", ()))

    def __enter__(self) -> "_Talks":
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
            limits=_LIMITS,
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
