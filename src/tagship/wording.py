"""Values to sentences: plans, results and failures as lines of text, for every face that people read."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tagship.amounts import URLS_SHOWN, human_bytes
from tagship.errors import Degraded, Locked, TagshipError
from tagship.events import Event

RESULT: Mapping[str, Any] = {
    "outcome": "degraded",
    "exit": 1,
    "release": None,
    "previous": None,
    "hosts": [],
    "seconds": 0.0,
    "bytes_sent": 0,
}
"""The keys of a result event in their order, and what they hold where nothing is known."""

STEP_WORDS: Mapping[str, str] = {
    "begin": "",
    "done": "",
    "failed": "FAILED",
    "undo": "undoing",
    "undone": "undone",
    "undo-failed": "FAILED to undo",
}
"""What is said of a step in each of its states; nothing of one that goes well."""

Line = tuple[str, str]
"""A line of text and its style on a terminal: a rich style such as `bold red`, or nothing."""

_WORDS = {1: "bug", 2: "error", 3: "refused", 4: "restored", 5: "degraded", 6: "locked", 130: "interrupted"}
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b.?")
_FEW = 3
"""Names of a longer list that are shown."""
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Failure:
    """An error as it is printed; the fields are those of the error and of the JSON `error` line."""

    kind: str
    exit: int
    outcome: str
    where: str
    what: str
    cure: str
    tail: list[str] = field(default_factory=list)
    hosts: dict[str, str] = field(default_factory=dict)
    holder: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def of(error: TagshipError) -> Failure:
        """What there is to say about `error`."""
        return Failure(
            kind=type(error).__name__,
            exit=error.exit_code,
            outcome=error.outcome,
            where=error.where,
            what=error.what,
            cure=error.cure,
            tail=list(error.tail),
            hosts=dict(error.hosts) if isinstance(error, Degraded) else {},
            holder=dict(error.holder) if isinstance(error, Locked) else {},
        )

    def result(self) -> dict[str, Any]:
        """The end of a JSON stream that the error cut short; an error of unknown reach counts as `degraded`."""
        return {**RESULT, "outcome": self.outcome, "exit": self.exit}


def step_line(event: Event) -> str:
    """`web1: tree (0.01 s)`, or what became of it instead."""
    words, title, seconds = STEP_WORDS[event.data["state"]], event.data["step"], event.data.get("seconds")
    text = f"{words}: {title}" if words else str(title)
    return _from(event.host, text if seconds is None else f"{text} ({seconds:.2f} s)")


def note_line(event: Event) -> Line:
    """One sentence, marked where it warns."""
    if event.data.get("level") == "warning":
        return _from(event.host, f"warning: {event.data['text']}"), "yellow"
    return _from(event.host, event.data["text"]), ""


def said_line(event: Event) -> str:
    """A line of a log behind its host and unit, one of a command behind its host where there are several."""
    data = event.data
    if "unit" in data:
        at = f" {dt.datetime.fromisoformat(data['at']).astimezone():%H:%M:%S}" if data["at"] else ""
        return f"{event.host} {data['unit']}{at} | {data['text']}"
    return f"{event.host} | {data['text']}" if data["hosts"] > 1 else str(data["text"])


def finding_lines(data: Mapping[str, Any]) -> Iterator[Line]:
    """What was looked at, where, and what to do about it."""
    level, style = data["level"], {"ok": "green", "warn": "yellow", "bad": "bold red"}[data["level"]]
    where = ", ".join(data["hosts"]) or "here"
    yield f"{level:4}  {data['check']}: {data['text']} [{where}]", style
    if data["cure"]:
        yield f"      cure: {data['cure']}", ""


def problem_lines(data: Mapping[str, Any]) -> Iterator[Line]:
    """`file:line:column: code message`, and what to do about it."""
    warns = data["severity"] == "warning"
    more = f" (on {data['pages']} pages)" if data["pages"] > 1 else ""
    where = f"{data['path']}:{data['line']}:{data['column']}"
    word = " (warning)" if warns else ""
    yield f"{where}: {data['code']} {data['message']}{more}{word}", "yellow" if warns else "red"
    if data["cure"]:
        yield f"    cure: {data['cure']}", "dim"


def failure_lines(failure: Failure) -> Iterator[Line]:
    """Where, what, where each host stands, cure, and what else was said: last lines of output, paths, reasons."""
    word = failure.outcome if failure.outcome == "failed" else _WORDS.get(failure.exit, "failed")
    where = f"{failure.where}: " if failure.where else ""
    yield f"{word}: {where}{failure.what}", "bold red"
    for name, state in failure.hosts.items():
        yield f"  {name}: {state}", ""
    if failure.cure:
        yield f"  cure: {failure.cure}", ""
    for line in failure.tail:
        yield f"    | {line}", "dim"


def plan_lines(data: Mapping[str, Any]) -> Iterator[Line]:
    """The rendered plan and the URLs that it adds, changes and takes away."""
    for line in data["plan"]:
        yield line, ""
    for kind, sign, style in (("added", "+", "green"), ("changed", "~", "yellow"), ("gone", "-", "red")):
        urls = data.get("urls", {}).get(kind, [])
        if urls:
            yield f"URLs {kind}: {len(urls)}", "bold"
        for url in urls[:URLS_SHOWN]:
            yield f"  {sign} {url}", style
        if len(urls) > URLS_SHOWN:
            yield f"  ... and {len(urls) - URLS_SHOWN} more", ""
    yield from _exposed_lines(data.get("exposed", {}))


def _exposed_lines(exposed: Mapping[str, Any]) -> Iterator[Line]:
    """What a release shows that its URLs don't tell."""
    for kind, title in (("drafts", "drafts that become public"), ("feed_ids", "ids that change in feeds")):
        found = exposed.get(kind, ())
        if found:
            yield f"{title}: {len(found)}", "bold"
        for text in found[:URLS_SHOWN]:
            yield f"  ~ {text}", "yellow"
        if len(found) > URLS_SHOWN:
            yield f"  ... and {len(found) - URLS_SHOWN} more", ""


def result_lines(data: Mapping[str, Any]) -> Iterator[Line]:
    """One line that sums up what is live, and one for each host where not all is well.

    A verb that changes no release has said everything already, with its table, its notes or its failure.
    """
    result = {**RESULT, **data}
    release, before, good = result["release"], result["previous"], result["exit"] == 0
    if not release and (result["outcome"] != "stopped" or not (before or result["hosts"])):
        return
    text = f"{result['outcome']}: {release or before or 'nothing was live'}"
    if not good:
        text += " isn't live everywhere" if result["outcome"] == Degraded.outcome else " didn't go live"
    elif release and before and before != release:
        text += f" (before: {before})"
    text += on_hosts(len(result["hosts"])) if good else ""
    text += f", {result['seconds']:.2f} s, {human_bytes(result['bytes_sent'])} sent"
    yield text, "bold green" if good else "bold red"
    if words := (result.get("schema") or {}).get("words"):
        yield f"  {words}", "" if good else "yellow"
    for host in result["hosts"]:
        if not (good and host["ok"]):
            yield f"  {host['host']}: {host['release'] or 'no release'}{'' if host['ok'] else ', not well'}", ""
    alike: dict[str, list[str]] = {}
    for away in result.get("away", ()):
        alike.setdefault(away["words"], []).append(away["host"])
    for words, hosts in alike.items():
        yield f"  {', '.join(hosts)}: {words}", "yellow"
    if good and any(away.get("missed") for away in result.get("away", ())):
        yield "  the fleet is now mixed, until a fab deploy without --limit and --skip", "yellow"


def clean(text: str) -> str:
    """`text` without escape codes and control characters: a service's log may hold any."""
    return _CONTROLS.sub("?", _ESCAPES.sub("", text))


def _from(host: str, text: str) -> str:
    return f"{host}: {text}" if host else text


def cell(value: Any) -> str:
    """A value of a table as text; `-` where there is none."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        named = value if len(value) <= _FEW + 1 else [*value[:_FEW], f"{len(value) - _FEW} more"]
        return ", ".join(map(str, named))
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def on_hosts(count: int) -> str:
    """` on 2 hosts`; nothing for none."""
    return f" on {count} host{'s' * (count != 1)}" if count else ""


def amount(done: int, total: int, unit: str) -> str:
    """How much of a step is done: `1.2 MB of 17 MB`, `3 of 9 wheels`; nothing where no unit is counted."""
    if unit == "bytes":
        return f"{human_bytes(done)} of {human_bytes(total)}"
    return f"{done} of {total} {unit}" if unit else ""
