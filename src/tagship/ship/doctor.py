"""What is wrong before a deploy finds out: facts of hosts to findings, each with what to do. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from tagship.amounts import human_bytes
from tagship.errors import HostRefused, TagshipError
from tagship.ship import roster
from tagship.ship.readiness import Wanted, no_front, unready
from tagship.ship.survey import HostSurvey, Room, env_refusals, refusals

Level = Literal["ok", "warn", "bad"]
Facts = Mapping[str, Any]

SKEW_WARN, SKEW_BAD = 2.0, 60.0
"""Seconds that a host's clock may differ from ours: journals and logs are read side by side."""
SLOW = 5.0
"""Seconds to connect and look, beyond which every verb is a wait."""
LOW_BYTES, LOW_FILES = 1_000_000_000, 50_000
"""Free bytes and inodes below which a few more releases may fill the disk."""
EXPIRY_WARN = 21.0
"""Days; Let's Encrypt's own clients renew 30 days before the end."""
_SHOWN = 4


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at, and what to do about it; `hosts` is empty where it was this machine."""

    check: str
    level: Level
    text: str
    cure: str = ""
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asked:
    """What the stage wants of one host."""

    wanted: Wanted
    env: str | None
    """The env file below `shared/`."""
    python: str | None
    """The interpreter; `None` where nothing runs."""
    web: bool


@dataclass(frozen=True)
class Seen:
    """One host as it was seen, or why it couldn't be."""

    host: str
    seconds: float = 0.0
    error: TagshipError | None = None
    survey: HostSurvey | None = None
    facts: Facts = field(default_factory=dict)
    """The answer to the agent's `doctor`."""
    skew: float = 0.0
    """Seconds that its clock is ahead of ours."""
    differs: tuple[str, ...] = ()
    """What `fab setup` would change, as far as who deploys can see."""
    certificate: float | str | None = None
    """Days until the one that it shows ends, or why there is none; `None` where no TLS is wanted."""


def judge(seen: Sequence[Seen], asked: Mapping[str, Asked], stage: str) -> tuple[Finding, ...]:
    """Everything there is to say of the hosts, check by check; what is the same on several is said once."""
    found = [finding for one in seen for finding in _of_host(one, asked[one.host])]
    surveys = {one.host: one.survey for one in seen if one.survey is not None}
    uneven = env_refusals(surveys, stage)
    found += [Finding("environment", "bad", error.what, error.cure, (error.host,)) for error in uneven]
    found += _together(surveys, stage)
    return grouped(found)


def grouped(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Equal findings of several hosts as one, in the order of their checks."""
    hosts: dict[Finding, list[str]] = {}
    for finding in findings:
        hosts.setdefault(replace(finding, hosts=()), []).extend(finding.hosts)
    order = list(dict.fromkeys(finding.check for finding in hosts))
    merged = [replace(finding, hosts=tuple(dict.fromkeys(on))) for finding, on in hosts.items()]
    return tuple(sorted(merged, key=lambda finding: order.index(finding.check)))


def _of_host(one: Seen, asked: Asked) -> Iterator[Finding]:
    def told(check: str, found: Iterable[tuple[Level, str, str]], well: str) -> Iterator[Finding]:
        reasons = [Finding(check, level, text, cure, (one.host,)) for level, text, cure in found]
        yield from reasons or [Finding(check, "ok", well, hosts=(one.host,))]

    if one.error is not None or one.survey is None:
        error = one.error or TagshipError("it wasn't asked")
        yield Finding("reach", "bad", error.what, error.cure or "try ssh by hand", (one.host,))
        return
    slow: list[tuple[Level, str, str]] = []
    if one.seconds > SLOW:
        slow = [("warn", f"it took {one.seconds:.0f} s to answer", "look at its load, its way here and its resolver")]
    yield from told("reach", slow, f"answers as {one.survey.user}")
    for check, look, well in CHECKS:
        if check != "tls" or one.certificate is not None:
            yield from told(check, look(one, one.survey, asked), well)


Check = Callable[[Seen, HostSurvey, Asked], Iterator[tuple[Level, str, str]]]


def _clock(one: Seen, _survey: HostSurvey, _asked: Asked) -> Iterator[tuple[Level, str, str]]:
    if abs(one.skew) > SKEW_WARN:
        level: Level = "bad" if abs(one.skew) > SKEW_BAD else "warn"
        way = "ahead of" if one.skew > 0 else "behind"
        yield (
            level,
            f"{abs(one.skew):.0f} s {way} this machine",
            "on the host: timedatectl set-ntp true; and look here too",
        )


def _release(_one: Seen, survey: HostSurvey, asked: Asked) -> Iterator[tuple[Level, str, str]]:
    for error in refusals(survey, env=asked.env, python=asked.python, need=Room(0, 0)):
        yield "bad", error.what, error.cure


def _disk(one: Seen, _survey: HostSurvey, _asked: Asked) -> Iterator[tuple[Level, str, str]]:
    disk = one.facts["disk"]
    cure = "free some, or keep fewer releases (`keep:`)"
    if disk["free"] < LOW_BYTES:
        yield "warn", f"{human_bytes(disk['free'])} free of {human_bytes(disk['size'])}", cure
    if disk["inodes_free"] is not None and disk["inodes_free"] < LOW_FILES:
        yield "warn", f"{disk['inodes_free']:,} inodes free of {disk['inodes']:,}", cure


def _filesystems(one: Seen, survey: HostSurvey, _asked: Asked) -> Iterator[tuple[Level, str, str]]:
    devices = {name: device for name, device in one.facts["filesystems"].items() if device is not None}
    if len(set(devices.values())) > 1:
        apart = ", ".join(devices)
        what = f"{apart} below {survey.root} are not on one filesystem: every release is copied instead of linked"
        yield "warn", what, "mount one filesystem at the root, or none below it"


def _folders(one: Seen, survey: HostSurvey, _asked: Asked) -> Iterator[tuple[Level, str, str]]:
    for path, found in one.facts["folders"].items():
        if found is None:
            continue  # made by the first deploy
        if found["owner"] != survey.user:
            yield "bad", f"{path} belongs to {found['owner']}", f"on the host, as root: chown -R {survey.user} {path}"
        elif int(found["mode"], 8) & 0o022:
            yield "bad", f"{path} can be written by others (mode {found['mode']})", f"on the host: chmod go-w {path}"
    if int(one.facts["umask"], 8) & 0o700:
        what = f"the umask of {survey.user} is {one.facts['umask']}, which shuts its own files to itself"
        yield "bad", what, "mend it in that user's profile, or in /etc/login.defs"


def _shared(one: Seen, survey: HostSurvey, _asked: Asked) -> Iterator[tuple[Level, str, str]]:
    for name, state in one.facts["links"].items():
        if state != "ok":
            yield "bad", f"shared/{name} {state}", f"make what {survey.root}/shared/{name} leads to, or mend the link"


def _setup(one: Seen, survey: HostSurvey, asked: Asked) -> Iterator[tuple[Level, str, str]]:
    reason = unready(survey, asked.wanted)
    again = f"fab setup --stage {asked.wanted.stage}"
    if reason is not None:
        yield "bad", reason.what, reason.cure
    service = one.facts["service"]
    if not asked.wanted.units or service is None:
        return
    if one.differs:
        more = f" and {len(one.differs) - _SHOWN} more" if len(one.differs) > _SHOWN else ""
        yield "warn", f"not as `fab setup` would make it: {'; '.join(one.differs[:_SHOWN])}{more}", again
    helper = service["helper"]
    if helper["status"] != 0:
        yield "bad", f"the helper can't be asked: {helper['said'] or 'exit status ' + str(helper['status'])}", again
    user = service["row"]["user"]
    if user not in one.facts["groups"]:
        yield "bad", f"{survey.user} is not in the group {user}", f"{again}; it counts from the next login on"
    if service["boot"] != "enabled":
        what = f"{service['name']}.service is {service['boot']}: after a reboot nothing runs"
        yield "bad", what, f"on the host, as root: systemctl enable {service['name']}.service; or {again}"
    run = service["run"]
    if run is None or run["group"] != user:
        what = f"/run/{service['name']} is {'missing' if run is None else 'of the group ' + run['group']}"
        yield "bad", what, f"on the host, as root: systemd-tmpfiles --create /etc/tmpfiles.d/{service['name']}.conf"
    if not service["journal"]:
        what = "the journal is lost at each reboot, and with it why something ended"
        yield "warn", what, "on the host, as root: mkdir /var/log/journal && systemctl restart systemd-journald"


def _front(one: Seen, survey: HostSurvey, asked: Asked) -> Iterator[tuple[Level, str, str]]:
    front, service = asked.wanted.front, one.facts["service"]
    if not asked.web:
        return
    if asked.wanted.units:
        again = f"fab setup --stage {asked.wanted.stage}"
        if service is not None:
            if service["nginx"] != "active":
                yield (
                    "bad",
                    f"nginx is {service['nginx']}",
                    f"on the host, as root: nginx -t && systemctl start nginx; or {again}",
                )
            elif f"{survey.root}/current" not in service["site"]:
                what = (
                    f"no site of nginx's leads to {survey.root}/current"
                    if service["site"]
                    else "nginx's site is not enabled"
                )
                yield "bad", what, again
            elif (reason := no_front(survey, asked.wanted)) is not None:
                yield "bad", reason.what, reason.cure
        return
    strangers = [who for who in one.facts["listeners"] if survey.front is None]
    for who in strangers:
        program = f"{who['program']} of {who['user']}" if who["program"] else f"a process of {who['user']}"
        yield "bad", f"{front} is taken by {program}", "end it, or give the stage another `front:`"


def _live(_one: Seen, survey: HostSurvey, _asked: Asked) -> Iterator[tuple[Level, str, str]]:
    live = survey.live
    if live is not None and not (survey.well and live.state == "good"):
        yield (
            "bad",
            f"{live.id} is live and isn't well{': ' + survey.fault if survey.fault else ''}",
            "fab deploy heals it",
        )
    left = [one.id for one in survey.releases if one.state == "unfinished" and one.id != survey.current]
    if left:
        yield "warn", f"left by a deploy that was cut off: {', '.join(left)}", "the next fab deploy removes it"
    if survey.lock is not None:
        holder = "{owner} ({verb} {release}) since {since}".format_map(survey.lock)
        yield "warn", f"locked by {holder}", "wait until it is done; the lock goes when its holder does"


def _venvs(one: Seen, survey: HostSurvey, asked: Asked) -> Iterator[tuple[Level, str, str]]:
    for venv in one.facts["venvs"]:
        release = venv["release"]
        if not venv["there"]:
            continue  # a site without an application
        current = release == survey.current
        level: Level = "bad" if current else "warn"
        cure = (
            "make a new tag and deploy it: a new release gets a sound virtualenv"
            if current
            else "it can't be rolled back to any more; deploy a new tag, so that there is one that can"
        )
        if venv["fault"]:
            yield level, f"the virtualenv of {release} is broken ({venv['python']}): {venv['fault']}", cure
        elif venv["says"] != venv["noted"]:
            now = f"{venv['python']} is {venv['says']}"
            yield level, f"the virtualenv of {release} was made for Python {venv['noted']}, and {now}", cure
    for release in one.facts["lost"]:
        yield "bad", f"the environment of {release} is gone", f"fab env copy --stage {asked.wanted.stage}"


def _tls(one: Seen, _survey: HostSurvey, asked: Asked) -> Iterator[tuple[Level, str, str]]:
    renew = "on the host, as root: certbot renew; and look why its timer didn't"
    if isinstance(one.certificate, str):
        yield "bad", f"no TLS at {asked.wanted.front}: {one.certificate}", f"fab setup --stage {asked.wanted.stage}"
    elif one.certificate is not None and one.certificate < 0:
        yield "bad", f"the certificate ended {-one.certificate:.0f} days ago", renew
    elif one.certificate is not None and one.certificate < EXPIRY_WARN:
        yield "warn", f"the certificate ends in {one.certificate:.0f} days", renew


CHECKS: tuple[tuple[str, Check, str], ...] = (
    ("clock", _clock, "as ours"),
    ("release", _release, "root, Python, room and shared files are as a release needs them"),
    ("disk", _disk, "enough space and inodes"),
    ("filesystems", _filesystems, "one, so that files are linked"),
    ("folders", _folders, "owned by who deploys, closed to others"),
    ("shared", _shared, "every link leads somewhere"),
    ("setup", _setup, "as the stage wants it"),
    ("front", _front, "free, or ours"),
    ("live", _live, "well, and nothing half done"),
    ("virtualenvs", _venvs, "each release's interpreter runs, and is the one it was made for"),
    ("tls", _tls, "no certificate that ends soon"),
)
"""Each check by name, what looks, and what is said where it finds nothing."""


def _together(surveys: Mapping[str, HostSurvey], stage: str) -> Iterator[Finding]:
    """What only shows between hosts."""
    currents = {survey.current for survey in surveys.values()}
    if len(currents) <= 1:
        return
    deploy = f"fab deploy --stage {stage}"
    new = tuple(host for host, survey in surveys.items() if survey.current is None and not survey.releases)
    if new:
        yield Finding("live", "warn", "nothing was ever deployed to it", f"{deploy}: it joins the others", new)
    if len(currents - {None}) > 1 or len(new) < sum(survey.current is None for survey in surveys.values()):
        rows = [f"{host}: {survey.current or 'nothing'}" for host, survey in surveys.items()]
        missed = [f"{known.host} {known.words.partition('; ')[0]}" for known in roster.behind(surveys, surveys)]
        words = f"not one release everywhere ({'; '.join([', '.join(rows), *missed])})"
        yield Finding("live", "warn", words, deploy, tuple(surveys))


def refused(findings: Iterable[Finding], stage: str) -> HostRefused | None:
    """The error that a verb ends with where something is bad; `None` if nothing is."""
    bad = [finding for finding in findings if finding.level == "bad"]
    if not bad:
        return None
    hosts = ", ".join(dict.fromkeys(host for finding in bad for host in finding.hosts or ("here",)))
    count = f"{len(bad)} finding{'s' * (len(bad) != 1)}"
    return HostRefused(f"{stage} isn't fit for a deploy: {count}", host=hosts, cure="each line above has its own")
