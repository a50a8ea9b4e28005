"""The warden of an up or a down: a process of its own, for a migration must outlive whoever asked for it.

It is this agent's archive once more, and has the stage's lock from it: while it lives, nobody else has. When the
agent goes, the step under way finishes and is journaled, and nothing else starts.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from typing import Any, BinaryIO

from tagship.host import boot, files, procs, schema_talk, stored
from tagship.host.context import Context
from tagship.host.faults import Problem, failed
from tagship.host.journal import Journal
from tagship.host.layout import Layout
from tagship.host.ready import read as read_ready

WORD = "schema_run"
"""On its command line, instead of what an agent has there."""
CANCELLED = 10.0
"""Seconds for a session in the database to end once it was told to."""
MARGIN = 60.0
"""Seconds beyond the deadline in which a warden has answered."""
_LOOK = 100  # milliseconds


class _Late(Exception):
    """The deadline has come."""


def start(context: Context, job: dict[str, Any]) -> dict[str, Any]:
    """Have a warden carry out `job` and give its answer; raises `failed`, or `Gone` where the client went first."""
    import subprocess

    lock = context.lock.fileno()
    job = {**job, "root": context.layout.root, "app": context.app, "stage": context.stage, "lock": lock}
    log = os.open(
        context.layout.command_log(job["release"]),
        os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC,
        0o640,
    )
    try:
        child = subprocess.Popen(
            [*boot.argv(sys.executable), WORD],
            env={"PATH": os.environ.get("PATH", os.defpath), "HOME": os.path.expanduser("~")},
            cwd=context.layout.root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            pass_fds=[lock],
            bufsize=0,
            start_new_session=True,
        )
    finally:
        os.close(log)
    assert child.stdin is not None and child.stdout is not None  # PIPE gives both
    with child.stdin as asking, child.stdout as answers:
        try:
            asking.write(boot.greeting() + json.dumps(job).encode() + b"\n")
            return _answer(context, answers.fileno())
        finally:
            child.returncode = 0  # it may outlive us


def _answer(context: Context, fd: int) -> dict[str, Any]:
    ready = select.poll()
    ready.register(fd, select.POLLIN)
    buffer = b""
    while True:
        context.lifeline.check()
        if not ready.poll(_LOOK):
            continue
        piece = os.read(fd, 1 << 16)
        if not piece:
            raise failed(
                "what migrates ended without a word", "`fab deploy` settles what it left; see the release's log"
            )
        *lines, buffer = (buffer + piece).split(b"\n")
        for message in map(json.loads, lines):
            if "progress" in message:
                done, total = message["progress"]
                context.progress(done, total, "migrations")
            elif "ok" in message:
                found: dict[str, Any] = message["ok"]
                return found
            else:
                error = message["error"]
                raise Problem(error["kind"], error["what"], error["cure"], error["tail"], error["data"])


def main(source: BinaryIO) -> None:
    """Carry out the job that comes in the line after the archive; the answer is the last line of our output."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    warden = Warden(json.loads(source.readline()))
    signal.signal(signal.SIGTERM, lambda *_: warden.be_alone())
    try:
        answer: dict[str, Any] = {"ok": warden.run()}
    except Problem as problem:
        answer = {"error": problem.row()}
    warden.tell(answer)
    warden.free()


class Warden:
    """One up or down of one release."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._job = job
        self._layout = Layout(job["root"], read_ready(job["app"], job["stage"]))
        self._journal = Journal(self._layout.journal)
        self._declared = stored.read(self._layout, job["release"])
        self._session = schema_talk.name(schema_talk.MOVER, job["release"])
        self._until = time.monotonic() + job["limits"]["deadline"]
        self._alone = False
        self._talks: dict[str, schema_talk.Talk] = {}
        self._steps: dict[tuple[str, str], dict[str, Any]] = {}
        self._done: list[dict[str, Any]] = []

    def run(self) -> dict[str, Any]:
        """Every step in order; the answer of the verb. Raises `failed` with what was done by then."""
        try:
            self._meet()
            self._all()
        except _Late:
            raise self._owed(self._late()) from None
        except schema_talk.Ended:
            raise self._owed(next(iter(self._talks.values())).how()) from None
        except Problem as problem:
            raise self._owed(problem) from None
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

    def _meet(self) -> None:
        """Start what is needed for the databases of the steps, and learn of the steps."""
        wanted = {database for database, _ in self._job["steps"]}
        for item in self._declared.settings["schema"]:
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
        return schema_talk.Talk(self._layout, self._declared, item, session=session, limits=limits, pause=self._pause)

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
            self._write_note({**note, "process": procs.me().row()})

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
        digest = known["digest"]
        self._note("reversing" if down else "migrating", database, step, digest=digest)
        began = time.monotonic()
        question = {"ask": "move", "database": database, "step": step, "down": down}
        try:
            done = self._talks[database].ask(question)
        except (_Late, schema_talk.Ended) as error:
            done = self._find_out(database, step, known, error)
        except Problem as problem:
            raise self._broken(database, step, problem, partly=bool(problem.data.get("partly"))) from None
        facts = {"adds": done["adds"], "drops": done["drops"]} if "adds" in done else {}
        seconds = done.get("seconds", round(time.monotonic() - began, 3))
        self._note("reversed" if down else "migrated", database, step, digest=digest, seconds=seconds, **facts)
        self._done.append({"database": database, "id": step, "digest": digest, "seconds": seconds})

    def _find_out(self, database: str, step: str, known: dict[str, Any], error: Exception) -> dict[str, Any]:
        """The deadline has come, or the process went: end its session in the database, and ask that what happened.

        A dead process is no stopped migration: PostgreSQL goes on with a statement that nobody waits for any more.
        """
        talk = self._talks[database]
        late = isinstance(error, _Late)
        problem = self._late()
        self._until = time.monotonic() + 3 * CANCELLED
        looking = self._talk(known["item"], schema_talk.name(schema_talk.LOOKER, self._job["release"]))
        try:
            if late:
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
            raise self._broken(database, step, problem, partly=True)
        if there != self._job["down"]:
            return {}
        raise self._broken(database, step, problem, partly=not known["atomic"])

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
        self._note(
            "broken", database, step, digest=self._steps[database, step]["digest"], down=down, partly=partly, why=why
        )
        problem.what = "{} {} failed: {}".format("reversing" if down else "migrating", where, why)
        done = problem.data.get("done")
        if not partly:
            problem.cure = problem.cure or "nothing of {} is there; mend it, tag again, deploy".format(where)
        else:
            problem.data["partly"] = [database, step]
            told = (
                "of {} operations these were done: {}".format(problem.data.get("of"), "; ".join(done))
                if done
                else ("part of it may be done")
            )
            problem.cure = (
                "{} runs outside a transaction, and {}. The database counts it as {}applied: finish it or take it "
                "back by hand, or have it pass over what is there, then deploy again".format(
                    where, told, "" if down else "not "
                )
            )
        return problem

    def _note(self, event: str, database: str, step: str, **more: Any) -> None:
        row = {"event": event, "release": self._job["release"], "database": database, "id": step, **more}
        self._journal.append({**row, "by": self._job["by"], "change": self._job["change"]})
