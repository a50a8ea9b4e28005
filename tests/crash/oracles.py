"""What must hold after any fault, looked at from outside. Shares no code with tagship: a test reads the imports.

Everything is read off a host's own files, processes and answers, as docs/agent.md describes them. Each oracle raises
`Violated` with what it found.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import json
import re
import stat
import threading
import time
import urllib.request
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crash.matrix import Violated

ID = re.compile(r"\d{4,9}-[A-Za-z0-9._-]{1,40}")
STRAY = re.compile(r"^\.|\.(new|tmp|part|partial)$|~$")
"""Names that nothing keeps which is whole: hidden ones, and those of what is being written."""
ANSWER = 10.0
"""Seconds for one answer over HTTP."""
UNANSWERED = (OSError, http.client.HTTPException, ValueError)
"""Refused, cut off, late, another status than 200, an answer that isn't whole, or none of HTTP."""


@dataclass(frozen=True)
class Standing:
    """A host as it can be looked at: its stage's root on this machine's disk, and where its site answers."""

    name: str
    root: Path
    url: str
    path: str = "/"
    """Answered by the application with what version.txt of its own tree holds."""


def current(host: Standing) -> str | None:
    """The release that `current` names; raises where it is anything but a link to a release, or not there at all."""
    link = host.root / "current"
    try:
        target = str(link.readlink())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Violated(f"O1 {host.name}: `current` is no link: {error}") from None
    folder, _, name = target.rpartition("/")
    if folder != "releases" or not ID.fullmatch(name):
        raise Violated(f"O1 {host.name}: `current` names {target}")
    return name


def o1_old_or_new(host: Standing, allowed: Collection[str | None]) -> str | None:
    """`current` names one of `allowed` (ids, or tags), and every file of it matches its manifest. Returns the id."""
    now = current(host)
    if now not in allowed and tag_of(now) not in allowed:
        raise Violated(f"O1 {host.name}: `current` names {now}, not one of {sorted(map(str, allowed))}")
    if now is not None:
        whole(host, now)
    return now


def whole(host: Standing, release: str) -> None:
    """Every row of the release's manifest is on disk as it says, and no record is empty."""
    folder = host.root / "releases" / release
    try:
        declared = json.loads((folder / "manifest.json").read_text())
        record = json.loads((folder / "release.json").read_text())
    except (OSError, ValueError) as error:
        raise Violated(f"O1 {host.name}: {release} has no whole record: {error}") from None
    if record.get("id") != release:
        raise Violated(f"O1 {host.name}: release.json of {release} is of {record.get('id')}")
    if not (folder / "start").stat().st_size:
        raise Violated(f"O1 {host.name}: {release}/start is empty")
    for row in declared["rows"]:
        if fault := _differs(folder / row[0], row):
            raise Violated(f"O1 {host.name}: {release}/{row[0]}: {fault}")


def _differs(path: Path, row: Sequence[Any]) -> str | None:
    try:
        found = path.lstat()
    except OSError as error:
        return error.strerror or "?"
    if row[1] == "l":
        return None if stat.S_ISLNK(found.st_mode) and str(path.readlink()) == row[2] else "not the link that it was"
    if not stat.S_ISREG(found.st_mode):
        return "not a file"
    if stat.S_IMODE(found.st_mode) != (0o555 if row[1] == "x" else 0o444):
        return f"mode {stat.S_IMODE(found.st_mode):o}"
    content = path.read_bytes()
    if len(content) != row[3] or hashlib.sha256(content).hexdigest() != row[2]:
        return f"other content, {len(content)} bytes of {row[3]}"
    return None


def o2_answers(host: Standing, *, patience: float = 0.0) -> str | None:
    """What answers is of the release that `current` names; `patience` seconds for a host that has just come up."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return _answers(host)
        except Violated:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _answers(host: Standing) -> str | None:
    now = current(host)
    if now is None:
        return None
    wanted = (host.root / "releases" / now / "app" / "version.txt").read_text().strip()
    try:
        with urllib.request.urlopen(host.url + host.path, timeout=ANSWER) as answer:
            said = answer.read().decode().strip()
    except UNANSWERED as error:
        raise Violated(f"O2 {host.name}: {now} is current, and the answer is {error}") from None
    if said != wanted:
        raise Violated(f"O2 {host.name}: {now} is current, whose version is {wanted}, and {said!r} answers")
    return now


def o3_nothing_stray(host: Standing) -> None:
    """No lock is held; no half-made link, staging or release that nobody finished lies about."""
    o3_lock_is_free(host.name, host.root / "state" / "lock")
    names = _names(host.root, "", "releases", "state", "run", "objects")
    stray = [name for name in names if STRAY.search(Path(name).name)]
    now, good = current(host), journaled(host, {"good", "left"})
    releases = [name for name in _names(host.root, "releases") if ID.fullmatch(Path(name).name)]
    stray += [name for name in releases if Path(name).name != now and Path(name).name not in good]
    if stray:
        raise Violated(f"O3 {host.name}: left behind: {', '.join(stray)}")


def o3_lock_is_free(name: str, lock: Path) -> None:
    """Nobody holds the lock of the host called so."""
    if lock.exists():
        with lock.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Violated(f"O3 {name}: the lock is held: {lock.read_text()}") from None


def o3_processes(host: Standing, processes: Mapping[int, str]) -> None:
    """Of the application's `processes` (pid to release id) all are of what `current` names."""
    now = current(host)
    others = {pid: release for pid, release in processes.items() if release != now}
    if others:
        raise Violated(f"O3 {host.name}: {now} is current, and these run: {others}")


def o5_told(
    hosts: Iterable[Standing],
    status: int,
    result: Mapping[str, Any] | None,
    *,
    old: Mapping[str, str | None],
    new: str,
) -> None:
    """The exit code and the JSON say what is true: 0 all on the tag `new`; 3, 4, 6, 130 all on what was `old`."""
    stands = {host.name: current(host) for host in hosts}
    if status == 0 and any(tag_of(release) != new for release in stands.values()):
        raise Violated(f"O5: exit 0 for {new}, and the hosts stand on {stands}")
    if status in (3, 4, 6, 130) and stands != old:
        raise Violated(f"O5: exit {status} promises that all was put back: {dict(old)}, and they stand on {stands}")
    if status not in (0, 3, 4, 5, 6, 130):
        raise Violated(f"O5: exit {status} is none that a fault may end with")
    if result is None:
        raise Violated(f"O5: exit {status} without a result")
    if result["exit"] != status:
        raise Violated(f"O5: exit {status}, and the result says {result['exit']}")
    for told in result["hosts"]:
        if told["ok"] and told["host"] in stands and told["release"] != stands[told["host"]]:
            raise Violated(f"O5: the result says {told}, and it stands on {stands[told['host']]}")


def eof_rules(host: Standing, old: str | None, known: Collection[str], processes: Mapping[int, str]) -> bool:
    """After a client has died and its agents have ended: HOUSE.md's rules, to the letter. Gives whether it flipped.

    Unflipped (`old` is current): the staging of what wasn't `known` before is removed, and only `old` runs. Flipped:
    it stays, whole, and runs; beside it only `old` may.
    """
    now = current(host)
    if new := releases(host) - set(known) - {now}:
        raise Violated(f"EOF {host.name}: {now} is current, and these were left: {sorted(new)}")
    running = set(processes.values())
    if now == old:
        if not running <= {old}:
            raise Violated(f"EOF {host.name}: unflipped, {old} is current, and these run: {dict(processes)}")
        return False
    assert now is not None
    whole(host, now)
    if now not in running or not running <= {old, now}:
        raise Violated(f"EOF {host.name}: flipped from {old} to {now}, and these run: {dict(processes)}")
    return True


def releases(host: Standing) -> set[str]:
    """The names of all that lies among the releases."""
    return {Path(name).name for name in _names(host.root, "releases")}


def good_before(host: Standing, release: str | None) -> str | None:
    """Where a rollback from `release` leads: the newest good one before it, by serial; what was left isn't good."""
    states: dict[str, str] = {}
    for row in journal(host):
        if row.get("event") in ("good", "left", "removed", "abandoned"):
            states[row["release"]] = row["event"]
    serials = {int(name.partition("-")[0]): name for name, state in states.items() if state == "good"}
    earlier = [serial for serial in serials if release and serial < int(release.partition("-")[0])]
    return serials[max(earlier)] if earlier else None


def goes_back(host: Standing) -> str | None:
    """Where the next rollback leads: where one was going that flipped and was cut off before any mark, if one was."""
    verbs: dict[Any, Any] = {}
    going: str | None = None
    came: tuple[Any, Any] = (None, None)
    for row in journal(host):
        if row.get("event") == "begun":
            verbs[row["change"]] = row["verb"]
        elif row.get("event") == "flipped":
            back = (row["change"], row["release"]) == came  # put back by who had begun it
            going = row["release"] if verbs.get(row["change"]) == "rollback" and not back else None
            came = (row["change"], row.get("origin"))
        elif row.get("event") == "good" and row["release"] == going:
            going = None
    return going or good_before(host, current(host))


def journaled(host: Standing, events: Collection[str]) -> set[str]:
    """Releases of which the journal ever told one of `events`."""
    return {row["release"] for row in journal(host) if row.get("event") in events and row.get("release")}


def journal(host: Standing) -> list[dict[str, Any]]:
    """The rows of the journal, oldest first; torn lines are passed over."""
    found = []
    path = host.root / "state" / "journal.jsonl"
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            found.append(row)
    return found


class Visitors:
    """O6: somebody who asks again and again; `failed` holds each request that wasn't answered with 200."""

    def __init__(self, host: Standing, *, every: float = 0.0) -> None:
        self.host = host
        self.asked = 0
        self.failed: list[str] = []
        self.seen: set[str] = set()
        """What they were answered."""
        self._every = every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def _ask(self) -> None:
        while not self._over.wait(self._every):
            self.asked += 1
            try:
                with urllib.request.urlopen(self.host.url + self.host.path, timeout=ANSWER) as answer:
                    self.seen.add(answer.read().decode().strip())
            except UNANSWERED as error:
                self.failed.append(f"{time.strftime('%H:%M:%S')} {error!r}")

    def __enter__(self) -> Visitors:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join(2 * ANSWER)

    def o6_none_failed(self) -> None:
        """No request failed, and there were some."""
        if self.failed or not self.asked:
            raise Violated(f"O6 {self.host.name}: {len(self.failed)} of {self.asked} failed: {self.failed[:3]}")


def tag_of(release: str | None) -> str | None:
    """The tag, made safe, in a release's id."""
    return None if release is None else release.partition("-")[2]


def _names(root: Path, *folders: str) -> list[str]:
    found = []
    for folder in folders:
        if (root / folder).is_dir():
            found += [str(path.relative_to(root)) for path in (root / folder).iterdir()]
    return sorted(found)
