"""The summary of a CI run: Markdown that says how it ended, that nothing can break out of, and without secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tagship.errors import Degraded, Locked, Refused, Restored, TagshipError, UsageError
from tagship.events import Event, note
from tagship.report import Report
from tagship.summary import LINES_SHOWN, WARNINGS_SHOWN, Summary

HOSTS = [{"host": "web1", "release": "0002-v2", "ok": True}, {"host": "web2", "release": "0002-v2", "ok": True}]
LIVE = {
    "outcome": "live",
    "exit": 0,
    "release": "0002-v2",
    "previous": "0001-v1",
    "hosts": HOSTS,
    "seconds": 2.66,
    "bytes_sent": 44_000,
}


def told(folder: Path, *said: Event, error: TagshipError | None = None, verb: str = "deploy") -> str:
    """What stands in the file once a report that said this is closed."""
    path = folder / "summary.md"
    summary = Summary(path, verb=verb, stage="production")
    summary.begin()
    with Report(stream=(folder / "out").open("w"), err=(folder / "err").open("w")) as report:
        report.mask(["s3cret/value"])
        report.tell_too(summary)
        for event in said:
            report(event)
        if error is not None:
            report.failure(error)
    return path.read_text()


def result(**data: Any) -> Event:
    return Event("result", "", data)


def test_what_went_live_is_told_with_tag_hosts_urls_and_plan(tmp_path: Path) -> None:
    """The whole of it, as it stands in the file."""
    urls = {"added": ["/new/"], "changed": [], "gone": []}
    text = told(
        tmp_path,
        Event("tag", "", {"tag": "v2", "commit": "c" * 40}),
        Event("plan", "", {"plan": ["deploy v2 as 0002-v2", "stage"], "steps": [], "urls": urls}),
        Event("step", "web1", {"step": "send", "state": "begin"}),
        result(**LIVE),
    )
    assert text == "\n".join(
        [
            *("## v2 is live on production", ""),
            *("| | |", "|---|---|", "| tag | v2 |", f"| commit | {'c' * 40} |", "| release | 0002-v2 |"),
            *("| before | 0001-v1 |", "| took | 2.7 s, 44 KB sent |", ""),
            *("| host | release | outcome |", "|---|---|---|"),
            *("| web1 | 0002-v2 | live |", "| web2 | 0002-v2 | live |", ""),
            *("URLs: 1 added, 0 changed, 0 gone", ""),
            *("<details><summary>Which URLs</summary>", "", "```text", "+ /new/", "```", "", "</details>", ""),
            *("<details><summary>Plan</summary>", "", "```text", "deploy v2 as 0002-v2", "stage", "```", ""),
            *("</details>", "", "", ""),
        ]
    )


@pytest.mark.parametrize(
    ("outcome", "headline"),
    [
        ({**LIVE, "outcome": "unchanged"}, "v2 was live already on production"),
        ({**LIVE, "outcome": "planned", "hosts": []}, "v2 can go live on production"),
        ({"outcome": "checked", "exit": 0}, "v2 is fit to ship"),
        ({**LIVE, "outcome": "restored", "exit": 4}, "v2 didn't go live on production: restored"),
    ],
)
def test_the_headline_says_how_it_ended(tmp_path: Path, outcome: dict[str, Any], headline: str) -> None:
    """Whoever reads only that knows enough."""
    verb = "check" if outcome["outcome"] == "checked" else "deploy"
    text = told(tmp_path, Event("tag", "", {"tag": "v2", "commit": "c"}), result(**outcome), verb=verb)
    assert text.splitlines()[0] == f"## {headline}"


def test_a_tag_that_can_not_ship_is_told_as_such(tmp_path: Path) -> None:
    """No host has anything to do with it."""
    text = told(tmp_path, result(outcome="refused", exit=3), error=Refused("no", where="v2"), verb="check")
    assert text.splitlines()[0] == "## the tag can't ship"
    assert "refused: v2: no" in text
    assert "No host was changed." in text


def test_a_plan_that_can_not_be_made_is_told_as_such(tmp_path: Path) -> None:
    """Nothing was meant to go live."""
    text = told(tmp_path, result(outcome="refused", exit=3), error=Refused("no"), verb="plan")
    assert text.splitlines()[0] == "## the release can't go live on production: refused"


@pytest.mark.parametrize("error", [UsageError("no stage"), Refused("no"), Locked("busy", host="web1", holder={})])
def test_an_order_that_was_not_carried_out_says_that_nothing_changed(tmp_path: Path, error: TagshipError) -> None:
    """Exit codes 2, 3 and 6."""
    text = told(tmp_path, result(outcome=error.outcome, exit=error.exit_code), error=error)
    assert "No host was changed." in text


@pytest.mark.parametrize("error", [TagshipError("a bug"), Degraded("half", hosts={"web1": "down"})])
def test_what_may_have_changed_something_does_not_say_so(tmp_path: Path, error: TagshipError) -> None:
    """Exit codes 1 and 5: nobody knows."""
    text = told(tmp_path, result(outcome=error.outcome, exit=error.exit_code), error=error)
    assert "No host was changed." not in text


def test_a_failure_is_told_with_its_cure_and_each_hosts_state(tmp_path: Path) -> None:
    """Where, what, cure, the last lines; which host is as it was, and which isn't well."""
    hosts = [{"host": "web1", "release": "0001-v1", "ok": True}, {"host": "web2", "release": None, "ok": False}]
    ended = {**LIVE, "outcome": "degraded", "exit": 5, "hosts": hosts}
    error = Degraded("it broke", hosts={"web2": "gone"}, where="web2, flip", cure="look", tail=["line one"])
    text = told(tmp_path, result(**ended), error=error)
    assert "degraded: web2, flip: it broke\n  web2: gone\n  cure: look\n    | line one\n" in text
    assert "| web1 | 0001-v1 | as it was before |" in text
    assert "| web2 | - | not well |" in text


def test_nothing_breaks_out(tmp_path: Path) -> None:
    """Logs, URLs and warnings hold what they like: fences are longer than any in them, the rest is escaped."""
    error = Restored("it broke", tail=["```", "````html", "<script>alert(1)</script>", "\x1b[31mred\x07"])
    hosts = [{"host": "a|b", "release": "<b>", "ok": True}]
    text = told(
        tmp_path,
        Event("note", "web1", {"text": "see [this](http://evil) <img src=x>\n# no", "level": "warning"}),
        result(**{**LIVE, "outcome": "restored", "exit": 4, "hosts": hosts}),
        error=error,
    )
    fence = "`" * 5
    inside = text.split(fence)[1]
    assert "````html" in inside
    assert "<script>" in inside
    outside = text.replace(inside, "")
    assert "| a\\|b | \\<b\\> |" in outside
    assert "web1: see \\[this\\](http://evil) \\<img src=x\\> \\# no" in outside
    assert "\x1b" not in text
    assert "\x07" not in text


def test_it_stays_short(tmp_path: Path) -> None:
    """GitHub takes a megabyte a step; a plan or a log can be longer."""
    urls = {"added": [f"/{n}/" for n in range(5000)], "changed": [], "gone": []}
    plan = [f"step {n}" for n in range(LINES_SHOWN + 5)]
    warnings = [Event("note", "", {"text": f"careful {n}", "level": "warning"}) for n in range(WARNINGS_SHOWN + 3)]
    text = told(tmp_path, *warnings, Event("plan", "", {"plan": plan, "steps": [], "urls": urls}), result(**LIVE))
    assert "URLs: 5000 added" in text
    assert "... and 4980 more added" in text
    assert "... and 5 more lines" in text
    assert "... and 3 more warnings" in text
    assert len(text) < 20_000


def test_no_secret_gets_in(tmp_path: Path) -> None:
    """It is told what the other faces are told, with the same values hidden, also when they are encoded."""
    text = told(tmp_path, result(**LIVE), error=Restored("s3cret/value", tail=["at s3cret%2Fvalue"]))
    assert "s3cret" not in text
    assert "[hidden]" in text


def test_sections_follow_each_other(tmp_path: Path) -> None:
    """Each verb of a job appends its own."""
    told(tmp_path, result(outcome="checked", exit=0), verb="check")
    text = told(tmp_path, result(**LIVE))
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## the tag is fit to ship",
        "## 0002-v2 is live on production",
    ]


def test_a_file_that_can_not_be_written_is_told_at_once(tmp_path: Path) -> None:
    """Before anything is done."""
    with pytest.raises(UsageError, match="Is a directory"):
        Summary(tmp_path, verb="deploy", stage="production").begin()


def test_a_disk_that_is_full_at_the_end_is_no_failure(tmp_path: Path) -> None:
    """What went live is live, whether or not its page can be written."""
    summary = Summary(tmp_path / "gone" / "s.md", verb="deploy", stage="production")
    with Report(stream=(tmp_path / "out").open("w")) as report:
        report.tell_too(summary)
        note(report, "hello")
