"""What a host looks like now, as a value, and the reasons for which it can't take part."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tagship.errors import HostRefused, TagshipError

OLDEST_PYTHON = (3, 9)
"""The oldest interpreter that a release's virtualenv is made from."""
RESERVE_BYTES = 64 * 1024 * 1024
RESERVE_FILES = 1000
RESERVE_SHARE = 0.1
"""Room that must stay free beside what a release needs: for logs, for the application, for being wrong."""


@dataclass(frozen=True)
class Release:
    """One release on one host's disk, as its journal and its processes tell."""

    id: str
    serial: int
    tag: str
    commit: str
    digest: str
    """Of tree, site and lock together: equal digests are equal releases."""
    manifest: str
    """SHA-256 of the manifest's rows, which is what a delta is made against."""
    state: str
    """`good`, `left` or `unfinished`."""
    staged: bool
    """Its staging was sealed, so that it can be started."""
    pid: int | None
    """A process of it, if one lives: what answers requests, else one of its units."""
    roles: tuple[str, ...]
    """What the host was for when it was declared."""
    runs: tuple[str, ...]
    """The processes it has on this host when it is up: `web`, and its units."""
    env: int = 0
    """The version of the environment that it runs with; 0: none."""
    marked: tuple[int, int] = (0, 0)
    """What gave it its state: the number of the change, and how many-eth mark of that change; zeros: nothing did."""
    schema: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    """The databases of its record with their heads, `None` where those are unknown; empty: it has no schema."""
    holds: bool = False
    """Steps of the schema that it applied are applied still, and what is current may not have them."""
    own: str = ""
    """The state in the host's own journal, where `state` is what other hosts know better; else empty."""


@dataclass(frozen=True)
class Front:
    """What listens at the `ADDRESS:PORT` where the site answers: the front door, or a web server of the host's."""

    listen: str
    pid: int | None
    """The front door's process; `None` for what isn't ours."""


@dataclass(frozen=True)
class Vitals:
    """What is current, as processes."""

    pid: int
    """What answers requests, else one of its units."""
    since: str
    """When that was started: UTC, ISO 8601, by the host's clock."""
    age: int
    """Seconds since then."""
    memory: int
    """Bytes that all its processes have in memory; what they share is counted for each."""


@dataclass(frozen=True)
class Roster:
    """Who went along to what is current, as one host journaled it."""

    release: str | None
    """What is current, if it was marked good; `None`: who went along to it isn't known."""
    by: str
    """Who marked it."""
    at: str
    """When: UTC, ISO 8601, by the host's clock."""
    change: int
    """The number of that change of the fleet."""
    stood: Mapping[str, str]
    """The newest release that was current here and on that host too, by the changes that both were part of."""


@dataclass(frozen=True)
class Room:
    """Space on a filesystem: bytes and inodes."""

    bytes: int
    files: int


@dataclass(frozen=True)
class HostSurvey:
    """Everything a plan depends on, as one agent saw it at one moment; docs/agent.md describes each field."""

    host: str
    root: str
    writable: bool
    current: str | None
    current_kind: str
    releases: tuple[Release, ...]
    highest: int
    serving: str | None
    """The release whose process listens behind `current`, which is no proof that it answers."""
    well: bool
    """That release is the current one, and answered its own probe while the survey was made."""
    fault: str
    """Why the current release, which listens, isn't well; empty otherwise."""
    process: Vitals | None
    """What runs of the current release; `None`: nothing does."""
    front: Front | None
    service: Mapping[str, Any] | None
    """How `fab setup` made the host ready for the stage; `None`: it didn't."""
    lock: Mapping[str, str] | None
    missing: tuple[str, ...]
    env: str
    installer: str | None
    disk_free: int
    inodes_free: int | None
    """`None` where the filesystem doesn't count inodes."""
    user: str
    python: Mapping[str, Any] | None
    """Markers and platform of the application's interpreter, for choosing wheels; `None` if it isn't there."""
    env_newest: int = 0
    """The version of the environment that the next release gets here; 0: none."""
    roster: Roster | None = None
    """`None`: nothing was ever marked good here."""
    change: int = 0
    """The highest number of a change that the journal tells of."""
    fled: str | None = None
    """What was current before, where a rollback to what is current now was cut off before it was marked."""
    litter: int = 0
    """How many things a killed session left half removed or half written."""
    midway: bool = False
    """A step of the schema began, and its journal doesn't tell how it ended."""

    @staticmethod
    def from_json(host: str, data: Mapping[str, Any]) -> HostSurvey:
        """Read an agent's answer to `survey`; raises `TagshipError` for one that docs/agent.md doesn't allow."""
        try:
            return _read(host, data)
        except (KeyError, TypeError, ValueError) as error:
            raise TagshipError(f"the agent's survey makes no sense ({error!r})", where=host) from error

    def release(self, release: str | None) -> Release | None:
        """The release with that id, if it is on this host."""
        return next((known for known in self.releases if known.id == release), None)

    @property
    def live(self) -> Release | None:
        """The release that `current` names, if it is on this host."""
        return self.release(self.current)

    def listens(self, listen: str) -> bool:
        """The front door runs at the address wanted."""
        return self.front is not None and self.front.listen == listen

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what a plan depends on; a host whose fingerprint differs makes the plan stale.

        Free space, process ids, the lock and the one answer to a probe are left out: they change while nothing of
        the plan does.
        """
        releases = [[r.id, r.digest, r.manifest, r.own or r.state, r.staged, r.holds] for r in self.releases]
        facts = [
            [self.root, self.current, self.current_kind, self.highest, self.serving, self.change],
            [releases, [[release.pid is not None, release.roles] for release in self.releases]],
            self.front.listen if self.front else None,
            [self.missing, self.env, self.python, self.service],
            [self.env_newest, [release.env for release in self.releases]],
            dict(self.roster.stood) if self.roster else None,
        ]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _read(host: str, data: Mapping[str, Any]) -> HostSurvey:
    front, versions = data["front"], data["versions"]
    return HostSurvey(
        host=host,
        root=str(data["root"]),
        writable=bool(data["writable"]),
        current=data["current"],
        current_kind=str(data["current_kind"]),
        releases=tuple(
            Release(
                id=str(row["id"]),
                serial=int(row["serial"]),
                tag=str(row["tag"]),
                commit=str(row["commit"]),
                digest=str(row["digest"]),
                manifest=str(row["manifest"]),
                state=str(row["state"]),
                staged=bool(row["staged"]),
                pid=row["pid"],
                roles=tuple(row["roles"]),
                runs=tuple(row["runs"]),
                env=int(versions["used"].get(row["id"], 0)),
                marked=_marked(*row.get("marked", (0, 0))),
                schema=_heads(row.get("schema") or {}),
                holds=bool(row.get("holds", False)),
            )
            for row in sorted(data["releases"], key=lambda row: int(row["serial"]))
        ),
        highest=int(data["highest"]),
        serving=data["serving"],
        well=bool(data["well"]),
        fault=str(data["fault"]),
        process=Vitals(**data["process"]) if data.get("process") else None,
        front=Front(str(front["listen"]), front["pid"]) if front else None,
        service=data.get("service"),
        lock=data["lock"],
        missing=tuple(data["missing"]),
        env=str(data["env"]),
        installer=data.get("installer"),
        disk_free=int(data["disk_free"]),
        inodes_free=data["inodes_free"],
        user=str(data["user"]),
        python=data["python"],
        env_newest=int(versions["newest"]),
        roster=_roster(data.get("fleet")),
        change=int(data.get("change", 0)),
        fled=data.get("fled"),
        litter=int(data.get("litter", 0)),
        midway=bool(data.get("midway", False)),
    )


def _heads(schema: Mapping[str, Any]) -> dict[str, tuple[str, ...] | None]:
    return {str(name): None if heads is None else tuple(map(str, heads)) for name, heads in schema.items()}


def _marked(change: int, nth: int) -> tuple[int, int]:
    return int(change), int(nth)


def _roster(fleet: Mapping[str, Any] | None) -> Roster | None:
    if fleet is None:
        return None
    stood = {str(host): str(release) for host, release in fleet["stood"].items() if release is not None}
    by, at = (str(fleet[key] or "") for key in ("by", "at"))
    return Roster(fleet["release"], by, at, int(fleet["change"] or 0), stood)


def refusals(survey: HostSurvey, *, env: str | None, python: str | None, need: Room) -> tuple[HostRefused, ...]:
    """Why a host can't take a release, each with its cure; empty if it can.

    `env` is the path of the env file below `shared/`, `python` the interpreter asked for (`None`: nothing runs),
    `need` what the release takes on this host's disk.
    """
    found = [
        (f"shared/{path} is missing", f"put it at {survey.root}/shared/{path} on the host") for path in survey.missing
    ]
    if env is not None and survey.env != "ok":
        found.append(_env_reason(survey, env))
    found += _room_reasons(survey, need)
    if python is not None:
        found += _python_reasons(survey, python)
    return (*root_refusals(survey), *(HostRefused(what, host=survey.host, cure=cure) for what, cure in found))


def env_refusals(surveys: Mapping[str, HostSurvey], stage: str) -> tuple[HostRefused, ...]:
    """The hosts that lack the environment which the others have: a release would run there with another one."""
    newest = max((survey.env_newest for survey in surveys.values()), default=0)
    holder = next((host for host, survey in surveys.items() if survey.env_newest == newest), "")
    return tuple(
        HostRefused(
            f"it lacks version {newest:04d} of the environment, which {holder} has",
            host=host,
            cure=f"fab env copy --stage {stage}",
        )
        for host, survey in surveys.items()
        if survey.env_newest < newest
    )


def _env_reason(survey: HostSurvey, env: str) -> tuple[str, str]:
    path = f"{survey.root}/shared/{env}"
    group = survey.service["user"] if survey.service else ""
    mode, only = ("0640", f", of the group {group}") if group else ("0600", "")
    change = f"chgrp {group} {path} && chmod {mode} {path}" if group else f"chmod {mode} {path}"
    if survey.env == "missing":
        return f"shared/{env} is missing", f"write NAME=value lines into {path} on the host, then {change}"
    cure = f"on the host: {change}" if survey.env.startswith("mode") else f"make it a file of {survey.user}'s"
    return f"shared/{env} must be a file of mode {mode} of {survey.user}'s own{only}, and is: {survey.env}", cure


def root_refusals(survey: HostSurvey) -> tuple[HostRefused, ...]:
    """Why nothing at all can be changed below a host's root; what a rollback needs is no more than this."""
    root = survey.root
    found: list[tuple[str, str]] = []
    if survey.current_kind == "directory":
        cure = f"fab adopt takes over what it serves; or move {root}/current away on the host"
        found.append((f"{root}/current is a real directory, not a link of ours", cure))
    elif survey.current_kind == "foreign":
        cure = f"fab adopt takes over what it serves; or move {root}/current away, or give this stage another root"
        found.append((f"{root}/current points somewhere that is no release of ours", cure))
    if not survey.writable:
        made = "fab setup makes it again, and its owner"
        cure = made if survey.service else f"on the host: mkdir -p {root} && chown {survey.user} {root}"
        found.append((f"{survey.user} can't write to {root}", cure))
    return tuple(HostRefused(what, host=survey.host, cure=cure) for what, cure in found)


def _room_reasons(survey: HostSurvey, need: Room) -> list[tuple[str, str]]:
    found = []
    space = int(need.bytes * (1 + RESERVE_SHARE)) + RESERVE_BYTES
    if survey.disk_free < space:
        found.append(
            (
                f"too little room at {survey.root}: {survey.disk_free:,} bytes free, {space:,} wanted",
                "free some, or keep fewer releases (`keep:`)",
            )
        )
    files = int(need.files * (1 + RESERVE_SHARE)) + RESERVE_FILES
    if survey.inodes_free is not None and survey.inodes_free < files:
        found.append(
            (
                f"too few inodes at {survey.root}: {survey.inodes_free:,} free, {files:,} wanted",
                "free some, or keep fewer releases (`keep:`)",
            )
        )
    return found


def _python_reasons(survey: HostSurvey, python: str) -> list[tuple[str, str]]:
    if survey.python is None:
        return [(f"there is no `{python}`", f"install {python} on the host, or name another in `app.python`")]
    version = str(survey.python["markers"]["python_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        return [(f"`{python}` is Python {version}", f"install Python {oldest} or newer, and name it in `app.python`")]
    return []
