"""The verbs of `fab adopt` under root: `scan`, and `take`, `back`, `keep`, which are one change in several parts.

What `take` makes is put back, newest part first, by `back`, and by the end of the session unless `keep` came before.
"""

from __future__ import annotations

import os
import pwd
import re
import socket
import time
from typing import Any, Callable, Optional

from tagship.host import files, http, known, lock, outfit, outfit_ports
from tagship.host.context import Args, Context
from tagship.host.faults import Problem, refused
from tagship.host.journal import Journal
from tagship.host.layout import Layout
from tagship.host.lifeline import Lifeline
from tagship.host.outfit_takeover import kind_of
from tagship.host.outfit_work import Work

SITES = "/etc/nginx/sites-enabled"
_PARTS, _LOCK, _GONE = "adopt parts", "adopt lock", "adopt gone"
_GLANCE, _PATIENCE = 5.0, 15.0  # seconds for an answer, and for another agent to end
_UNIT = re.compile(rb"^[^:\n]*:[^:\n]*:/.*?([^/\n]+\.service)", re.M)
_NAMES = ("127.0.0.1", "localhost", "[::1]", "0.0.0.0")  # noqa: S104  how a site may call this host


def scan(context: Context, args: Args) -> dict[str, Any]:
    """The verb `scan`: what serves there now; changes nothing."""
    work, root, name = Work(context), args.text("root"), os.path.basename(args.text("name"))
    current = os.path.join(root, "current")
    kind, link = kind_of(current)
    upstream, public = args.optional("upstream"), args.optional("public")
    found = {
        "current": kind,
        "link": link,
        "leads": os.path.realpath(current) if kind in ("link", "directory") and os.path.isdir(current) else "",
        "public": [path for path in (public, os.path.join(current, "public")) if path and os.path.isdir(path)],
        "highest": known.highest(known.standings(Layout(root), Journal(Layout(root).journal))),
        "unfinished": os.path.lexists(outfit.note(args)),
        "adopted": files.read_object(os.path.join(outfit.NOTES, name + ".adopted")) or None,
        "sites": _sites(name, _words(current, upstream, public)),
        "upstream": None,
    }
    if upstream is not None:
        found["upstream"] = _upstream(work, upstream, current, args)
    return found


def take(context: Context, args: Args) -> dict[str, Any]:
    """The verb `take`: make what differs of `resources`, in order, or put this part back.

    With `changes`, exactly those must differ. Units that `stops`, a pattern, names are stopped before this part is
    put back; `root` tells whose they are.
    """
    work, rows, note = Work(context), outfit.rows(args), outfit.note(args)
    parts = _parts(context, args)
    states, refusals = outfit.look_at(work, rows)
    if refusals:
        raise refusals[0]
    changes = [number for number, state in enumerate(states) if state.differs]
    if args.raw().get("changes") is not None and changes != args.items("changes"):
        raise Problem("refused", "it changed after it was looked at", "run it again: it will plan anew")
    os.makedirs(outfit.NOTES, 0o755, exist_ok=True)
    files.write(note, b"")
    outfit.make_all(work, rows, set(changes), lambda: None)
    stops = args.optional("stops")
    if stops is not None:
        path = Layout(args.text("root")).lock
        work.owe(stops, lambda: _stop(work, stops, path))
    parts.append(work)
    return {"made": len(changes)}


def back(context: Context, args: Args) -> dict[str, Any]:
    """The verb `back`: put the newest part back; `left` tells what couldn't be, `parts` how many are left."""
    parts: list[Work] = context.opened.get(_PARTS, [])
    left = parts.pop().put_back() if parts else []
    if not parts and not left:
        _end(context, args)
    return {"left": left, "parts": len(parts)}


def keep(context: Context, args: Args) -> dict[str, Any]:
    """The verb `keep`: all parts stay."""
    context.opened[_PARTS] = []
    _end(context, args)
    return {}


def _parts(context: Context, args: Args) -> list[Work]:
    found: Optional[list[Work]] = context.opened.get(_PARTS)
    if found:
        return found
    if _LOCK not in context.opened:
        context.opened[_LOCK] = outfit.take_lock(args, "adopt")
        context.endings.append(lambda: _put_all_back(context, outfit.note(args)))
    parts: list[Work] = context.opened.setdefault(_PARTS, [])
    return parts


def _put_all_back(context: Context, note: str) -> None:
    """The client is gone: nobody will say `keep` any more."""
    parts: list[Work] = context.opened.get(_PARTS, [])
    if _LOCK in context.opened:
        context.lifeline = Lifeline()
        context.opened[_GONE] = True
        left = [line for work in reversed(parts) for line in work.put_back()]
        if not left:
            files.remove(note)


def _end(context: Context, args: Args) -> None:
    held = context.opened.pop(_LOCK, None)
    if held is not None:
        files.remove(outfit.note(args))
        held.free()


def _stop(work: Work, units: str, path: str) -> None:
    """End what runs of ours; where the client is gone, the agent of who deploys hears of that too, and goes first."""
    deadline = time.monotonic() + (_PATIENCE if _GONE in work.context.opened else 0)
    while lock.read_holder(path) is not None and time.monotonic() < deadline:
        work.context.lifeline.wait(0.05)
    work.ask(["systemctl", "stop", units])


def _words(current: str, upstream: Optional[str], public: Optional[str]) -> list[str]:
    """What a site of nginx's would hold that serves what is to be adopted."""
    words = [current, *([public] if public else [])]
    if upstream and upstream.startswith("unix:"):
        words.append(upstream)
    elif upstream:
        port = http.split_listen(upstream)[1]
        words += ["{}:{}".format(name, port) for name in _NAMES]
    return words


def _sites(own: str, words: list[str]) -> list[dict[str, Any]]:
    """Every enabled site but ours: its path, where its link leads, and whether it names one of `words`."""
    found = []
    for name in files.names(SITES):
        path = os.path.join(SITES, name)
        text = (files.read(os.path.realpath(path)) or b"").decode(errors="replace")
        lines = [line.partition("#")[0] for line in text.splitlines()]
        if name != own + ".conf":
            named = any(re.search(re.escape(word) + r"(?![\w.-])", line) for word in words for line in lines)
            found.append({"path": path, "target": kind_of(path)[1], "named": named})
    return found


def _upstream(work: Work, upstream: str, current: str, args: Args) -> dict[str, Any]:
    """Who answers there, and how: asked once for what a release's probe will ask."""
    found: dict[str, Any] = {"status": 0, "fault": "", "pid": None, "unit": "", "user": "", "names": False}
    try:
        answer = http.ask(_way(upstream), args.text("path"), args.text("host"), _GLANCE)
        found["status"] = answer.status
    except (OSError, ValueError) as error:
        found["fault"] = http.words(error)
        return found
    pid = answer.pid or _listener(upstream)
    if pid is not None:
        unit = _UNIT.search(files.read("/proc/{}/cgroup".format(pid)) or b"")
        found.update(pid=pid, unit=unit.group(1).decode() if unit else "", user=_user(pid))
    if found["unit"]:
        found["names"] = current in work.ask(["systemctl", "cat", "--", found["unit"]])[1]
    return found


def _way(upstream: str) -> Callable[[float], socket.socket]:
    if upstream.startswith("unix:/"):
        return lambda timeout: http.connect_unix(upstream[len("unix:") :], timeout)
    try:
        http.split_listen(upstream)
    except ValueError:
        raise refused(
            "`{}` is no upstream".format(upstream), "--upstream ADDRESS:PORT or unix:/path/to/socket"
        ) from None
    return lambda timeout: http.connect_tcp(upstream, timeout)


def _listener(upstream: str) -> Optional[int]:
    sockets = set(outfit_ports.listening(http.split_listen(upstream)[1]))
    return next((pid for pid, _ in outfit_ports.owners(sockets)), None)


def _user(pid: int) -> str:
    try:
        return pwd.getpwuid(os.stat("/proc/{}".format(pid)).st_uid).pw_name
    except (OSError, KeyError):
        return ""
