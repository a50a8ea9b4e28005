"""What a warden does: the steps of one up or down, each journaled before and after, whatever becomes of it."""

from __future__ import annotations

import json
import os
import select
import time
from typing import Any

from tagship.host import files, procs, schema_talk, stored
from tagship.host.faults import Problem, failed, from_os_error
from tagship.host.journal import Journal
from tagship.host.layout import Layout
from tagship.host.ready import read as read_ready

CANCELLED = 10.0
"""Seconds for a session in the database to end once it was told to."""


class _Late(Exception):
    """The deadline has come."""


class Warden:
    """One up or down of one release."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._job = job
        self._layout = Layout(job["root"], read_ready(job["app"], job["stage"]))
        self._journal = Journal(self._layout.journal)
        self._session = schema_talk.name(schema_talk.MOVER, job["release"])
        self._until = time.monotonic() + job["limits"]["deadline"]
        self._alone = False
        self._talks: dict[str, schema_talk.Talk] = {}
        self._steps: dict[tuple[str, str], dict[str, Any]] = {}
        self._done: list[dict[str, Any]] = []

    def run(self) -> dict[str, Any]:
        """Every step in order; the answer of the verb. Raises `failed` with what was done by then."""
        try:
            self._meet(stored.read(self._layout, self._job["release"]))
            self._all()
        except _Late:
            raise self._owed(self._late()) from None
        except schema_talk.Ended:
            raise self._owed(next(iter(self._talks.values())).how()) from None
        except Problem as problem:
            raise self._owed(problem) from None
        except OSError as error:  # of a full disk: what isn't journaled is asked of the database, later
            raise self._owed(from_os_error(error)) from None
        finally:
            for talk in set(self._talks.values()):
                talk.end()
        return {"reversed" if self._job["down"] else "applied": self._done}

    def _late(self) -> Problem:
        seconds = self._job["limits"]["deadline"]
        return failed("the deadline of {:.0f} s has come".format(seconds), "raise `schema_limits.deadline`")

    def _owed(self, problem: Problem) -> Problem:
        """With what was done, and of which step something may be left."""
        partly = problem.data.pop("partly", None)
        problem.data.update({"reversed" if self._job["down"] else "applied": self._done, "partly": partly})
        return problem

    def _meet(self, declared: stored.Declared) -> None:
        """Start what is needed for the databases of the steps, and learn of the steps."""
        wanted = {database for database, _ in self._job["steps"]}
        for item in declared.settings.get("schema") or ():
            if not wanted:
                return
            if item["kind"] != "django" and item["name"] not in wanted:
                continue
            talk = self._talk(item, self._session)
            found = self._named(talk, item)
            if not wanted & found:
                talk.end()
            wanted -= found
        if wanted:
            raise failed("this release has no database {}".format(", ".join(sorted(wanted))), "fab plan --staged")

    def _named(self, talk: schema_talk.Talk, item: dict[str, Any]) -> set[str]:
        names = set()
        for database in talk.ask({"ask": "heads"})["databases"]:
            names.add(database["name"])
            self._talks[database["name"]] = talk
            database_steps = {(database["name"], step["id"]): {**step, "item": item} for step in database["steps"]}
            self._steps.update(database_steps)
        return names

    def _talk(self, item: dict[str, Any], session: str) -> schema_talk.Talk:
        limits = self._job["limits"]
        declared = stored.read(self._layout, self._job["release"])
        return schema_talk.Talk(self._layout, declared, item, session=session, limits=limits, pause=self._pause)

    def _pause(self) -> None:
        ready = select.poll()
        ready.register(0, 0)  # the end of whoever asked comes unasked: POLLHUP
        if not self._alone and ready.poll(0):
            self.be_alone()
        if time.monotonic() > self._until:
            raise _Late

    def be_alone(self) -> None:
        """Nobody waits for us: nothing else starts, and the lock is ours."""
        if not self._alone:
            self._alone = True
            note = files.read_object(self._layout.lock)
            self._write_note({**note, "process": procs.me().row(), "client": "gone"})

    def _write_note(self, note: dict[str, Any]) -> None:
        data = json.dumps(note).encode() if note else b""
        os.pwrite(self._job["lock"], data, 0)
        os.ftruncate(self._job["lock"], len(data))

    def free(self) -> None:
        """Where the agent has gone, the lock's note goes with us, as the lock does."""
        if self._alone:
            self._write_note({})

    def tell(self, message: dict[str, Any]) -> None:
        """A line to the agent, if it is there."""
        try:
            files.write_all(1, json.dumps(message).encode() + b"\n")
        except OSError:
            self.be_alone()

    def _all(self) -> None:
        steps, down = self._job["steps"], self._job["down"]
        for number, (database, step) in enumerate(steps):
            self._pause()
            if self._alone:
                return
            self.tell({"progress": [number, len(steps)]})
            mine = [one for name, one in steps if name == database]
            if not down and mine[0] == step:
                self._talks[database].ask({"ask": "begin", "database": database, "steps": mine})
            self._one(database, step)
        for database in dict.fromkeys(name for name, _ in steps) if not (down or self._alone) else ():
            mine = [one for name, one in steps if name == database]
            self._talks[database].ask({"ask": "finish", "database": database, "steps": mine})

    def _one(self, database: str, step: str) -> None:
        """One step, journaled before and after whatever becomes of it."""
        down = self._job["down"]
        known = self._steps.get((database, step))
        if known is None:
            raise failed("this release has no step {}/{}".format(database, step), "fab plan --staged")
        self._note("reversing" if down else "migrating", database, step)
        began = time.monotonic()
        question = {"ask": "move", "database": database, "step": step, "down": down}
        try:
            done, problem = self._talks[database].ask(question), None
        except (_Late, schema_talk.Ended) as error:
            done, problem = {}, self._find_out(database, step, late=isinstance(error, _Late))
        except Problem as error:
            raise self._broken(database, step, error, partly=bool(error.data.get("partly"))) from None
        facts = {"adds": done["adds"], "drops": done["drops"]} if done else {}
        seconds = done.get("seconds", round(time.monotonic() - began, 3))
        self._note("reversed" if down else "migrated", database, step, seconds=seconds, **facts)
        self._done.append({"database": database, "id": step, "digest": known["digest"], "seconds": seconds})
        if problem is not None:
            raise problem

    def _find_out(self, database: str, step: str, *, late: bool) -> Problem:
        """The deadline has come, or the process went: end its session in the database, and ask that what happened.

        A dead process is no stopped migration: PostgreSQL goes on with a statement that nobody waits for any more.
        Gives why nothing else can begin, where the step was done all the same; raises it where it wasn't.
        """
        talk, known = self._talks[database], self._steps[database, step]
        self._until = time.monotonic() + 6 * CANCELLED
        looking = self._talk(known["item"], schema_talk.name(schema_talk.LOOKER, self._job["release"]))
        try:
            if late:
                problem = self._late()
                self._end_sessions(looking, "cancel", 0.0)
                self._let_it_answer(talk)
            else:
                problem = talk.how()
            talk.end()
            # What nobody waits for may be done in a moment: it is ended only where it isn't.
            left = self._end_sessions(looking, "", CANCELLED) and self._end_sessions(looking, "terminate", CANCELLED)
            there = step in looking.ask({"ask": "applied", "database": database})["applied"]
        finally:
            looking.end()
        if left:
            problem.what += ", and its session in the database goes on"
        elif there != self._job["down"]:
            return problem
        raise self._broken(database, step, problem, partly=bool(left) or not known["atomic"])

    def _end_sessions(self, looking: schema_talk.Talk, how: str, wait: float) -> int:
        asked = looking.ask({"ask": "sessions", "prefix": self._session, "end": how, "wait": wait})
        return sum(asked["sessions"].values())

    def _let_it_answer(self, talk: schema_talk.Talk) -> None:
        """A statement that was cancelled is an error there, which it tells; then nobody needs to be killed."""
        until, self._until = self._until, time.monotonic() + CANCELLED / 2
        try:
            talk.answer()
        except (_Late, schema_talk.Ended, Problem):
            pass
        self._until = until

    def _broken(self, database: str, step: str, problem: Problem, *, partly: bool) -> Problem:
        """Journal that a step failed; the problem says what stands now and how to go on."""
        down, where = self._job["down"], "{}/{}".format(database, step)
        why = problem.what
        self._note("broken", database, step, down=down, partly=partly, why=why)
        problem.what = "{} {} failed: {}".format("reversing" if down else "migrating", where, why)
        done = problem.data.get("done")
        if not partly:
            cures = ["nothing of {} is {}; mend it, tag again, deploy".format(where, "undone" if down else "there")]
            problem.cure = "; ".join([*cures, *filter(None, [problem.cure])])
        else:
            problem.data["partly"] = [database, step]
            told = (
                "of {} operations these were done: {}".format(problem.data.get("of"), "; ".join(done))
                if done
                else "part of it may be done"
            )
            problem.cure = (
                "{} runs outside a transaction, and {}. The database counts it as {}applied: finish it or take it "
                "back by hand, or have it pass over what is there, then deploy again".format(
                    where, told, "" if down else "not "
                )
            )
        return problem

    def _note(self, event: str, database: str, step: str, **more: Any) -> None:
        row = {"event": event, "release": self._job["release"], "database": database, "id": step}
        row.update(digest=self._steps[database, step]["digest"], **more)
        self._journal.append({**row, "by": self._job["by"], "change": self._job["change"]})
