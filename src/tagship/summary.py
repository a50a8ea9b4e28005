"""How a verb ended, as Markdown for the page of a CI run: `--summary FILE`, such as `$GITHUB_STEP_SUMMARY`.

A `Summary` is a face of the report: it hears what the others hear, with the same secrets hidden, keeps what is
worth keeping, and appends one section to its file when the report closes. What comes from outside (URLs, logs,
names) stands in fences or escaped, so that none of it is taken for Markdown or HTML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tagship.amounts import URLS_SHOWN, human_bytes
from tagship.errors import UsageError
from tagship.events import Event
from tagship.wording import RESULT, Failure, cell, clean, failure_lines, problem_lines

LINES_SHOWN = 200
"""Lines of a plan or an error that are shown; GitHub takes 1 MiB of summary a step."""

WARNINGS_SHOWN = 20

_ENDS: Mapping[str, str] = {
    "live": "is live",
    "unchanged": "was live already",
    "planned": "can go live",
    "checked": "is fit to ship",
    "stopped": "is stopped",
}
_MARKUP = re.compile(r"([\\`*_\[\]<>|~#&])")
_TICKS = re.compile(r"`+")


class Summary:
    """Collects what `verb` says of `stage`, and appends it to `path` when closed; writing never raises by then."""

    def __init__(self, path: Path, *, verb: str, stage: str) -> None:
        self.path = path
        self.verb = verb
        self.stage = stage
        self.tag: Mapping[str, Any] = {}
        self.plan: Mapping[str, Any] = {}
        self.result: Mapping[str, Any] = RESULT
        self.failed: Failure | None = None
        self.warnings: list[str] = []
        self.problems: list[str] = []

    def begin(self) -> None:
        """See, before anything is done, that the file can be written; raises `UsageError`."""
        try:
            self.path.open("a").close()
        except OSError as error:
            what = error.strerror or str(error)
            raise UsageError(what, where=f"--summary {self.path}", cure="name a file you may write") from None

    def event(self, event: Event) -> None:
        """Keep what matters of one event."""
        if event.name == "tag":
            self.tag = event.data
        elif event.name == "plan":
            again = event.data.get("leg") == 2
            before = [*self.plan.get("plan", ()), ""] if again else []
            self.plan = {**(self.plan if again else {}), **event.data, "plan": [*before, *event.data["plan"]]}
        elif event.name == "result":
            self.result = {**RESULT, **event.data}
        elif event.name == "problem":
            self.problems += [text for text, _style in problem_lines(event.data)]
        elif event.name == "note" and event.data.get("level") == "warning":
            self.warnings.append(f"{event.host}: {event.data['text']}" if event.host else str(event.data["text"]))

    def failure(self, failure: Failure) -> None:
        """Keep the error."""
        self.failed = failure

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Nothing: verbs with tables have no summary."""

    def line(self, text: str, style: str = "") -> None:
        """Nothing: sentences are for who watches."""

    def close(self) -> None:
        """Append the section to the file."""
        try:
            with self.path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write("\n".join(self.markdown()) + "\n\n")
        except OSError:
            return

    def markdown(self) -> Iterator[str]:
        """The section, line by line."""
        yield f"## {_plain(self._headline())}"
        yield ""
        yield from self._facts()
        if self.failed is not None:
            yield from _fenced([text for text, _style in failure_lines(self.failed)])
        yield from self._hosts()
        yield from self._urls()
        for warning in self.warnings[:WARNINGS_SHOWN]:
            yield f"> warning: {_plain(warning)}"
            yield ""
        if len(self.warnings) > WARNINGS_SHOWN:
            yield f"> ... and {len(self.warnings) - WARNINGS_SHOWN} more warnings"
            yield ""
        yield from _folded("Findings", self.problems)
        yield from _folded("Plan", self.plan.get("plan", ()))

    def _headline(self) -> str:
        outcome, checked = str(self.result["outcome"]), self.verb == "check"
        if "errors" in self.result:
            errors, warnings = self.result["errors"], self.result["warnings"]
            return f"the site has {errors} error{'s' * (errors != 1)} and {warnings} warning{'s' * (warnings != 1)}"
        what = self.tag.get("tag") or self.result["release"] or ("the tag" if checked else "the release")
        where = "" if checked else f" on {self.stage}"
        if self.result["exit"] == 0:
            return f"{what} {_ENDS.get(outcome, outcome)}{where}"
        if checked:
            return f"{what} can't ship"
        failed = "can't" if self.verb == "plan" else "didn't"
        return f"{what} {failed} go live{where}: {outcome}"

    def _facts(self) -> Iterator[str]:
        result = self.result
        took = f"{result['seconds']:.1f} s"
        if result["bytes_sent"]:
            took += f", {human_bytes(result['bytes_sent'])} sent"
        facts = {
            "tag": self.tag.get("tag"),
            "commit": self.tag.get("commit"),
            "release": result["release"],
            "before": result["previous"],
            "digest": result.get("digest"),
            "schema": (result.get("schema") or {}).get("words"),
            "took": took,
        }
        yield "| | |"
        yield "|---|---|"
        yield from (f"| {name} | {_plain(value)} |" for name, value in facts.items() if value)
        yield ""

    def _hosts(self) -> Iterator[str]:
        hosts = self.result["hosts"]
        if not hosts:
            if self.result["exit"] in (2, 3, 6):
                yield "No host was changed."
                yield ""
            return
        yield "| host | release | outcome |"
        yield "|---|---|---|"
        for host in hosts:
            yield f"| {_plain(host['host'])} | {_plain(cell(host['release']))} | {_plain(self._stands(host))} |"
        for away in self.result.get("away", ()):
            yield f"| {_plain(away['host'])} | {_plain(cell(away['stands']))} | {_plain(away['words'])} |"
        yield ""

    def _stands(self, host: Mapping[str, Any]) -> str:
        """How one host ended, in words."""
        if not host["ok"]:
            return "not well"
        if self.result["exit"] != 0:
            return "as it was before"
        return "unchanged" if self.result["outcome"] == "unchanged" else str(self.result["outcome"])

    def _urls(self) -> Iterator[str]:
        urls = self.plan.get("urls")
        if urls is None:
            return
        counts = ", ".join(f"{len(urls[kind])} {kind}" for kind in ("added", "changed", "gone"))
        shown = []
        for kind, sign in (("added", "+"), ("changed", "~"), ("gone", "-")):
            shown += [f"{sign} {url}" for url in urls[kind][:URLS_SHOWN]]
            if len(urls[kind]) > URLS_SHOWN:
                shown.append(f"  ... and {len(urls[kind]) - URLS_SHOWN} more {kind}")
        yield f"URLs: {counts}"
        yield ""
        yield from _folded("Which URLs", shown)


def _plain(value: Any) -> str:
    """A value as one line of text that has no meaning for Markdown."""
    return _MARKUP.sub(r"\\\1", clean(str(value).replace("\n", " ")))


def _folded(title: str, lines: Sequence[str]) -> Iterator[str]:
    """Lines that open at a click; nothing for none."""
    if lines:
        yield f"<details><summary>{title}</summary>"
        yield ""
        yield from _fenced(lines)
        yield "</details>"
        yield ""


def _fenced(lines: Sequence[str]) -> Iterator[str]:
    """Lines as they stand, in a fence that none of them can close."""
    texts = [clean(line) for line in lines]
    longest = max((len(run) for text in texts for run in _TICKS.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    yield f"{fence}text"
    yield from texts[:LINES_SHOWN]
    if len(texts) > LINES_SHOWN:
        yield f"... and {len(texts) - LINES_SHOWN} more lines"
    yield fence
    yield ""
