"""The root-owned helper, the one thing that may be done as root: asked here, with the grammar that it takes."""

from __future__ import annotations

import os
import socket
from typing import Optional, Sequence

from tagship.host.faults import Problem, failed, refused
from tagship.host.layout import Layout
from tagship.host.lifeline import Lifeline, alone
from tagship.host.ready import Ready

PROGRAM = "/usr/local/sbin/tagship-helper"
ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
"""All that the host's own programs get of an environment."""
_PATIENCE = 10.0
"""Seconds for sudo and the helper to start."""
_ANSWER = 16  # bytes


def argv(ready: Ready, *words: str) -> list[str]:
    """The command that asks it."""
    return ["sudo", "-n", PROGRAM, ready.unit, *words]


def must(layout: Layout) -> Ready:
    """How the host was made ready; raises `refused` where it wasn't."""
    if layout.ready is None:
        raise refused("this host has no units", "fab setup")
    return layout.ready


class Served:
    """The helper of one app and stage, started once and asked over a socket: sudo and Python take longer than it.

    It goes when its end of the socket does, that is with this process.
    """

    def __init__(self, ready: Ready) -> None:
        import subprocess  # only where something is changed

        self._words = argv(ready)
        self._line: Optional[socket.socket]
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._there = False
        with theirs:
            try:
                subprocess.Popen(
                    [*self._words, "serve"],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=ENV,
                    cwd="/",
                    start_new_session=True,
                )
            except OSError:
                self._close()  # no sudo: what is asked will tell

    def begin(self, words: Sequence[str], output: int) -> Optional["_Asked"]:
        """Have it do what `words` would have one of its own do; `None` for another command, or where it can't."""
        if self._line is None or list(words[: len(self._words)]) != self._words or not self._greeted(self._line):
            return None
        try:
            question = b"\0".join(map(os.fsencode, words[len(self._words) :]))
            socket.send_fds(self._line, [question], [output])
        except OSError:  # it ended, or that is more than a message holds
            self._close()
            return None
        return _Asked(self._line)

    def _greeted(self, line: socket.socket) -> bool:
        """It has said that it listens; an older one doesn't know how to, and says nothing."""
        if not self._there:
            line.settimeout(_PATIENCE)
            try:
                self._there = bool(line.recv(_ANSWER))
            except OSError:
                pass
            if not self._there:
                self._close()
        return self._there

    def _close(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None


class _Asked:
    """What the helper does for us, as a process to wait for."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line

    def wait(self, timeout: Optional[float] = None) -> int:
        """Its exit status; raises `OSError` where there is none in time, `failed` where the helper ended."""
        self._line.settimeout(timeout)
        told = self._line.recv(_ANSWER)
        if not told.isdigit():
            raise failed("the helper ended", "look at it on the host")
        return int(told)


def summon(lifeline: Lifeline, ready: Ready) -> None:
    """Have it started, for all that this session asks of it while the client is there."""
    if lifeline.others is alone:
        lifeline.others = Served(ready).begin


def ask(lifeline: Lifeline, ready: Ready, *words: str) -> list[str]:
    """What it says, line by line; raises `failed` where it refuses, or what it does fails."""
    status, said = quietly(lifeline, argv(ready, *words))
    must_be_well(status, said, *words)
    return said


def must_be_well(status: int, said: list[str], *words: str) -> None:
    """Raise `failed` for an exit status that isn't 0, of the helper asked for `words`."""
    if status:
        why = next((line for line in said if line.strip()), "exit status {}".format(status))
        cure = "`fab setup` gives it its rights again" if why.startswith("sudo:") else "look at it on the host"
        raise failed("the helper can't {} {}: {}".format(words[0], " ".join(words[1:]), why), cure, said)


def quietly(lifeline: Lifeline, words: Sequence[str]) -> tuple[int, list[str]]:
    """Run a command of the host's own to its end: its exit status, and the lines of both its outputs."""
    output = os.memfd_create("said", os.MFD_CLOEXEC)
    try:
        status = lifeline.run(words, ENV, "/", output)
        size = os.fstat(output).st_size
        return status, os.pread(output, size, 0).decode("utf-8", "replace").splitlines()
    except Problem as problem:
        return 127, [problem.what]
    finally:
        os.close(output)
