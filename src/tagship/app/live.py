"""The verbs beside what is live: its logs, a command in its environment, the environment itself."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec

from tagship.app.stage import OnStage, Table
from tagship.errors import HostRefused, RunFailed, UsageError
from tagship.events import Event, note
from tagship.ship import connecting, envs, live, waiting
from tagship.ship.fleet import Fleet, raise_all
from tagship.ship.live import Line, Source
from tagship.ship.outcome import HostOutcome, Outcome


def of_role(on: OnStage, role: str) -> OnStage:
    """The stage with only its hosts of `role`, or all if it is empty. Raises `UsageError` if none is."""
    if not role:
        return on
    roles = sorted({name for host in on.stage.hosts for name in host.roles} or {"web"})
    if role not in roles:
        raise UsageError(f"no host of {on.name} is for `{role}`", where="--role", cure=f"one of: {', '.join(roles)}")
    chosen = tuple(host for host in on.stage.hosts if role in host.roles)
    return replace(on, stage=msgspec.structs.replace(on.stage, hosts=chosen))


def logs(on: OnStage, *, lines: int, release: str | None, follow: bool) -> Outcome:
    """Tell the last lines of the services on every host, and with `follow` all that come, until Ctrl-C.

    Raises `HostRefused`.
    """
    with _connect(on) as fleet:
        if follow:
            said = live.follow_logs(
                fleet,
                lines=lines,
                release=release,
                lost=lambda error: note(on.listener, f"{error.where}: {error.what}", level="warning"),
            )
        else:
            said = live.read_logs(fleet, lines=lines, release=release)
        try:
            for line in said:
                on.listener(Event("line", line.host, _of_log(line)))
        except KeyboardInterrupt:
            if not follow:
                raise
        return _outcome(fleet, "unchanged")


def run(on: OnStage, argv: Sequence[str], *, dry: bool, source: Source | None) -> Outcome:
    """Run `argv` in the environment of what is live, on every host; `source` is its input, where that is one host.

    Raises `HostRefused` where it can't begin anywhere, and `Interrupted`; a failure is the outcome's `RunFailed`.
    """
    with _connect(on) as fleet:
        if dry:
            for host, survey in fleet.surveys.items():
                note(on.listener, f"would run it in {survey.current or 'nothing, for nothing is current'}", host=host)
            return _outcome(fleet, "planned")
        count = len(fleet.hosts)

        def tell(line: Line) -> None:
            on.listener(Event("line", line.host, {"stream": line.unit, "text": line.text, "hosts": count}))

        found = live.run_command(fleet, argv, tell=tell, source=source if count == 1 else None)
        for ended in found:
            on.listener(Event("ended", ended.host, {"status": ended.status, "text": ended.words}))
        refused = [ended.error for ended in found if isinstance(ended.error, HostRefused)]
        if len(refused) == count:
            raise_all(list(refused))
        failed = {ended.host: ended.words for ended in found if ended.status != 0}
        outcome = _outcome(fleet, "done", ill=set(failed))
        if not failed:
            return outcome
        error = RunFailed(
            f"the command failed: {next(iter(failed.values()))}" if count == 1 else "the command failed",
            where=", ".join(failed),
            cure="what it said stands above; nothing of the release was changed",
            tail=[f"{host}: {words}" for host, words in failed.items()] if count > 1 else (),
        )
        return replace(outcome, outcome=error.outcome, exit=error.exit_code, error=error)


def environment(on: OnStage) -> Table:
    """The versions of the environment on each host: which releases run with each, and its names. No values."""
    with _connect(on) as fleet:
        rows = tuple(
            (
                version.host,
                envs.label(version.number),
                ", ".join(_with_current(fleet, version.host, release) for release in version.releases),
                ", ".join(version.names),
            )
            for version in envs.versions(fleet)
        )
        return Table(("host", "version", "releases", "names"), rows, _outcome(fleet, "unchanged"))


def set_value(on: OnStage, name: str, value: str, *, owner: str, wait: float = 0) -> Outcome:
    """A new version of the environment with `name` set, on all hosts or on none.

    `wait`, here and below, is seconds to queue for locks that others hold.
    """
    return _change(on, wait, lambda fleet: envs.set_value(fleet, name, value, owner=owner, tell=on.listener))


def unset(on: OnStage, name: str, *, owner: str, wait: float = 0) -> Outcome:
    """A new version without `name`, on all hosts or on none. Raises `UsageError` where no newest version has it."""

    def work(fleet: Fleet) -> envs.Changed:
        if not any(version.newest and name in version.names for version in envs.versions(fleet)):
            raise UsageError(f"{name} isn't set on {on.name}", where="fab env", cure="fab env lists what is")
        return envs.unset(fleet, name, owner=owner, tell=on.listener)

    return _change(on, wait, work)


def copy(on: OnStage, *, owner: str, wait: float = 0) -> Outcome:
    """Give the newest version to the hosts that lack it: those that have joined the stage since."""
    return _change(on, wait, lambda fleet: envs.copy(fleet, owner=owner, tell=on.listener))


def check_name(name: str) -> None:
    """Raise `UsageError` for what can't be a variable's name."""
    envs.check_name(name)


def check_value(name: str, value: bytes) -> str:
    """The value as text; raises `UsageError`, which doesn't show it, for what can't be kept."""
    return envs.check_value(name, value)


def _change(on: OnStage, wait: float, work: Callable[[Fleet], envs.Changed]) -> Outcome:
    with _connect(on) as fleet:
        changed = waiting.in_turn(fleet, wait, on.listener, lambda: work(fleet))
        if not changed.hosts:
            note(on.listener, "nothing to do: it is so already on every host")
            return _outcome(fleet, "unchanged")
        version = f"version {envs.label(changed.version)} of the environment"
        flag = "" if on.name == "local" else f" --stage {on.name}"
        note(on.listener, f"{version} is on {', '.join(changed.hosts)}; `fab deploy{flag}` puts it live")
        return _outcome(fleet, "changed")


def _connect(on: OnStage) -> Fleet:
    return connecting.connect_live(on.name, on.stage, on.project.config.app, on.project.root)


def _outcome(fleet: Fleet, word: str, *, ill: set[str] | None = None) -> Outcome:
    hosts = tuple(
        HostOutcome(host, survey.current, host not in (ill or ())) for host, survey in fleet.surveys.items()
    )
    return Outcome(word, hosts=hosts, seconds=time.monotonic() - fleet.started, bytes_sent=fleet.bytes_sent)


def _of_log(line: Line) -> dict[str, str | None]:
    at = None if line.at is None else dt.datetime.fromtimestamp(line.at, dt.UTC).isoformat(timespec="milliseconds")
    return {"unit": line.unit, "at": at, "text": line.text}


def _with_current(fleet: Fleet, host: str, release: str) -> str:
    return f"{release} (current)" if fleet.surveys[host].current == release else release
