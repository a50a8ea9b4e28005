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
from typing import Any, BinaryIO

from tagship.host import boot, files
from tagship.host.context import Context
from tagship.host.faults import Problem, failed
from tagship.host.schema_warden import Warden

WORD = "schema_run"
"""On its command line, instead of what an agent has there."""
MARGIN = 60.0
"""Seconds beyond the deadline in which a warden has answered."""
_LOOK = 100  # milliseconds


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
            files.write_all(asking.fileno(), boot.greeting() + json.dumps(job).encode() + b"\n")
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
    finally:
        warden.free()
    warden.tell(answer)
