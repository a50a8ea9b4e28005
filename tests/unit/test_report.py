"""Every word we print: three faces of the same events, and no secret in any of them."""

from __future__ import annotations

import base64
import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from tagship.errors import Degraded, HostRefused, Locked, Restored, RunFailed, TagshipError, UsageError
from tagship.events import Event, note
from tagship.masks import HIDDEN
from tagship.report import Report

RESULT = {
    "hosts": [
        {"host": "web1", "release": "0002-v2", "ok": True},
        {"host": "web2", "release": "0001-v1", "ok": False},
    ],
    "bytes_sent": 24_310,
    "outcome": "live",
    "exit": 0,
    "release": "0002-v2",
    "previous": "0001-v1",
    "seconds": 1.25,
}
KEYS = ["event", "outcome", "exit", "release", "previous", "hosts", "seconds", "bytes_sent"]


def events() -> list[Event]:
    """One of each."""
    urls = {"added": [f"/{n}/" for n in range(25)], "changed": ["/"], "gone": []}
    return [
        Event("plan", "", {"plan": ["stage", "  web1  send"], "steps": [{"step": "send"}], "urls": urls}),
        Event("phase", "", {"phase": "stage", "hosts": 2, "total": 3}),
        Event("step", "web1", {"step": "send", "state": "begin"}),
        Event("progress", "web1", {"step": "send", "done": 10, "total": 2_000_000, "unit": "bytes"}),
        Event("progress", "web1", {"step": "send", "done": 2_000_000, "total": 2_000_000, "unit": "bytes"}),
        Event("step", "web1", {"step": "send", "state": "done", "seconds": 0.5}),
        Event("step", "web2", {"step": "send", "state": "failed", "seconds": 0.1}),
        Event("step", "web1", {"step": "send", "state": "undone"}),
        Event("note", "web2", {"text": "slow", "level": "warning"}),
        Event("result", "", RESULT),
    ]


def spoken(*said: Event, json: bool = False, error: TagshipError | None = None) -> tuple[str, str]:
    """What comes out on stdout and stderr where neither is a terminal."""
    out, err = io.StringIO(), io.StringIO()
    with Report(json=json, stream=out, err=err) as report:
        for event in said:
            report(event)
        if error:
            report.failure(error)
    return out.getvalue(), err.getvalue()


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


# --- JSON Lines --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("missed", "mixed"), [("0002-v2", True), (None, False)])
def test_who_goes_live_without_some_hosts_is_told_that_the_fleet_is_mixed(missed: str | None, mixed: bool) -> None:
    """Where they missed it; a host that stands on the same release already makes no fleet mixed."""
    away = [{"host": "web3", "flag": "--limit", "missed": missed, "words": "left alone (--limit)"}]
    out, _err = spoken(Event("result", "", {**RESULT, "away": away}))
    assert "web3: left alone (--limit)" in out
    assert ("the fleet is now mixed" in out) is mixed


def test_json_is_one_event_a_line_and_the_result_last() -> None:
    """stdout holds the events in order and nothing else; the result's keys have one order, whatever was given."""
    rows = json_lines(spoken(*events(), json=True)[0])
    assert [row["event"] for row in rows[:3]] == ["plan", "phase", "step"]
    assert rows[-1] == {"event": "result", **RESULT}
    assert list(rows[-1]) == KEYS


def test_json_holds_all_urls() -> None:
    """A program gets every URL; only people get the first twenty."""
    plan = json_lines(spoken(*events(), json=True)[0])[0]
    assert len(plan["urls"]["added"]) == 25


def test_json_keeps_the_result_for_the_end() -> None:
    """An error that is told after the result still stands before it, and stderr stays empty."""
    error = HostRefused("no room", host="web1", cure="make some", tail=["df"])
    out, err = spoken(Event("result", "", {**RESULT, "outcome": "refused", "exit": 3}), json=True, error=error)
    first, last = json_lines(out)
    assert err == ""
    assert first["event"] == "error"
    assert (first["kind"], first["exit"], first["where"]) == ("HostRefused", 3, "web1")
    assert (first["what"], first["cure"], first["tail"]) == ("no room", "make some", ["df"])
    assert (last["event"], last["outcome"]) == ("result", "refused")


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
    [
        (UsageError("x"), "refused", 2),
        (Restored("x"), "restored", 4),
        (Degraded("x", hosts={"web1": "0001-v1"}), "degraded", 5),
        (Locked("x", host="web1", holder={"owner": "ada"}), "locked", 6),
        (TagshipError("x"), "degraded", 1),
    ],
)
def test_json_ends_with_a_result_also_without_one(error: TagshipError, outcome: str, code: int) -> None:
    """A verb that failed before it began still ends its stream with a result that has every key."""
    last = json_lines(spoken(json=True, error=error)[0])[-1]
    assert (last["outcome"], last["exit"]) == (outcome, code)
    assert list(last) == KEYS


def test_json_tells_the_end_of_every_progress() -> None:
    """Progress may be thinned out, but never its last."""
    many = [Event("progress", "web1", {"step": "s", "done": n, "total": 999, "unit": "files"}) for n in range(1000)]
    told = json_lines(spoken(*many, json=True)[0])
    assert told[-1]["done"] == 999
    assert len(told) < 500


def test_json_tables_are_rows() -> None:
    """One row a line, the columns' names as keys, the values as they are."""
    out = io.StringIO()
    with Report(json=True, stream=out) as report:
        report.table("releases", ["Release", "Made at"], [["0001-v1", None], ["0002-v2", 5]])
        report.lines("a word")
    assert json_lines(out.getvalue()) == [
        {"event": "row", "table": "releases", "release": "0001-v1", "made_at": None},
        {"event": "row", "table": "releases", "release": "0002-v2", "made_at": 5},
        {"event": "note", "text": "a word", "level": "info"},
    ]


# --- plain lines -------------------------------------------------------------------------------------------------


def test_plain_lines_for_a_log() -> None:
    """One line an event worth reading, the host before it; begin and progress say nothing."""
    out, _ = spoken(*events())
    lines = out.splitlines()
    assert lines[:3] == ["stage", "  web1  send", "URLs added: 25"]
    assert lines[22:28] == [
        "  + /19/",
        "  ... and 5 more",
        "URLs changed: 1",
        "  ~ /",
        "stage on 2 hosts",
        "web1: send (0.50 s)",
    ]
    assert lines[28:] == [
        "web2: FAILED: send (0.10 s)",
        "web1: undone: send",
        "web2: warning: slow",
        "live: 0002-v2 (before: 0001-v1) on 2 hosts, 1.25 s, 24 KB sent",
        "  web2: 0001-v1, not well",
    ]


def test_a_failure_says_where_what_cure_and_the_last_lines() -> None:
    """On stderr, in that order; escape codes of the failing command are gone."""
    error = Degraded(
        "two versions", hosts={"web2": "0001-v1"}, where="flip", cure="fab deploy", tail=["\x1b[31mred\x1b[0m\x07"]
    )
    out, err = spoken(error=error)
    assert out == ""
    assert err.splitlines() == [
        "degraded: flip: two versions",
        "  web2: 0001-v1",
        "  cure: fab deploy",
        "    | red?",
    ]


def test_a_command_of_fab_run_that_failed_is_not_called_restored() -> None:
    """Exit 4 has two outcomes: nothing was put back where nothing of ours was changed."""
    assert spoken(error=RunFailed("the command failed"))[1] == "failed: the command failed\n"


def test_a_lock_names_its_holder() -> None:
    """Programs get who, what and since when as data; for people the sentence says it once."""
    holder = {"owner": "ada@desk", "release": "0003-v3", "since": "2026-01-02T03:04:05Z"}
    error = Locked("locked by ada@desk (deploy 0003-v3)", host="web1", holder=holder, cure="wait")
    assert json_lines(spoken(json=True, error=error)[0])[0]["holder"] == holder
    assert spoken(error=error)[1].splitlines() == [
        "locked: web1: locked by ada@desk (deploy 0003-v3)",
        "  cure: wait",
    ]


def test_plain_tables_are_aligned() -> None:
    """Columns are as wide as their widest cell; nothing is a dash."""
    out = io.StringIO()
    with Report(stream=out) as report:
        report.table("releases", ["Release", "Good"], [["0001-v1.0.0", True], ["0002", None]])
    assert out.getvalue().splitlines() == ["releases", "Release      Good", "0001-v1.0.0  yes", "0002         -"]


def test_a_verb_that_ships_nothing_sums_up_nothing() -> None:
    """After a table, or a note that the site is built, there is nothing more to say."""
    assert spoken(Event("result", "", {"outcome": "unchanged", "exit": 0}))[0] == ""
    ill = [{"host": "web1", "release": "0001-v1", "ok": False}]
    assert spoken(Event("result", "", {"outcome": "unchanged", "exit": 0, "hosts": ill}))[0] == ""
    assert spoken(Event("result", "", {"outcome": "built", "exit": 0, "pages": 7, "seconds": 0.5}))[0] == ""
    assert spoken(Event("result", "", {"outcome": "stopped", "exit": 0, "seconds": 0.5}))[0] == ""  # `inv serve`


def test_a_stream_that_knows_no_umlauts() -> None:
    """What the encoding can't hold is escaped; a deploy does not die of a word."""
    raw = io.BytesIO()
    with Report(stream=io.TextIOWrapper(raw, encoding="ascii")) as report:
        report.lines("Grüße \udcff")
    assert raw.getvalue() == b"Gr\\xfc\\xdfe \\udcff\n"


NOBODY_READS = """
import sys
from tagship.report import Report
with Report(json=sys.argv[1] == "json") as report:
    for n in range(20000):
        report.lines("a line that nobody reads")
open(sys.argv[2], "w").write("went on")
"""


@pytest.mark.parametrize("face", ["json", "plain"])
def test_work_goes_on_when_nobody_reads(tmp_path: Path, face: str) -> None:
    """`fab deploy | head -1` must not stop a deploy midway, nor end in a traceback."""
    done = tmp_path / "done"
    argv = [sys.executable, "-c", NOBODY_READS, face, str(done)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
    assert done.read_text() == "went on"


# --- a terminal --------------------------------------------------------------------------------------------------

ON_A_TERMINAL = """
import time
from tagship.errors import Restored
from tagship.events import Event
from tagship.report import Report
with Report() as report:
    report(Event("phase", "", {"phase": "stage", "hosts": 2, "total": 3}))
    report(Event("progress", "", {"step": "pack", "done": 1, "total": 3, "unit": "files"}))
    time.sleep(0.15)
    report(Event("progress", "", {"step": "pack", "done": 3, "total": 3, "unit": "files"}))
    for host in ("[b]web1", "web2"):
        report(Event("step", host, {"step": "[i]send", "state": "begin"}))
    for done in (0, 1_000_000, 2_000_000):
        report(Event("progress", "web2", {"step": "send", "done": done, "total": 2_000_000, "unit": "bytes"}))
        time.sleep(0.15)
    report.table("releases", ["Release"], [["0001-v1"]])
    report.failure(Restored("put back", where="web2", tail=["why"]))
"""


def on_a_terminal(**extra: str) -> str:
    """What the script above writes to a terminal of its own."""
    ours, theirs = pty.openpty()
    env = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR", "COLUMNS"}}
    env |= {"TERM": "xterm-256color", "COLUMNS": "100", **extra}
    with subprocess.Popen(
        [sys.executable, "-c", ON_A_TERMINAL], stdin=theirs, stdout=theirs, stderr=theirs, env=env
    ) as p:
        os.close(theirs)
        shown = b""
        while True:
            try:
                more = os.read(ours, 65536)
            except OSError:  # Linux: the other side is closed
                break
            if not more:
                break
            shown += more
    os.close(ours)
    assert p.returncode == 0, shown
    return shown.decode()


def test_a_terminal_shows_a_live_table() -> None:
    """A row a host with its step and a bar for long work, redrawn in place; then the rest below it."""
    shown = on_a_terminal()
    assert "\x1b[?25l" in shown
    assert shown.count("\x1b[?25h") == 1, "the cursor comes back"
    words = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert "stage on 2 hosts" in words
    assert re.search(r"\[b\]web1 \[i\]send +\d", words), "what looks like markup is text"
    assert re.search(r"web2 +send +[━╸╺ ]+ 1\.0 MB of 2\.0 MB", words)
    assert re.search(r"here +pack +[━╸╺ ]+ 1 of 3 files", words), "what is done here has a row until it is done"
    assert "here" not in words[words.index("0001-v1") :]
    assert words.rstrip().endswith("restored: web2: put back\r\n    | why")


def test_no_color_means_no_color() -> None:
    """NO_COLOR is respected: no escape sequence sets a colour."""
    assert re.search(r"\x1b\[[0-9;]*3[0-7]m", on_a_terminal())
    assert not re.search(r"\x1b\[[0-9;]*[349][0-7]m", on_a_terminal(NO_COLOR="1"))


def test_a_dumb_terminal_gets_plain_lines() -> None:
    """Where the cursor can't be moved nothing is redrawn."""
    assert "\x1b" not in on_a_terminal(TERM="dumb")


# --- secrets -----------------------------------------------------------------------------------------------------

SECRET = "s3cr3t/pä ss?word"


def encodings() -> dict[str, str]:
    raw = SECRET.encode()
    found = {"raw": SECRET, "url": quote(SECRET, safe=""), "path": quote(SECRET), "form": quote_plus(SECRET)}
    for before in ("", "u", "us", "usr"):
        found[f"base64 after {len(before)}"] = base64.b64encode(before.encode() + raw + b"!").decode()
        found[f"urlsafe after {len(before)}"] = base64.urlsafe_b64encode(before.encode() + raw + b"!").decode()
    return found


@pytest.mark.parametrize("name", list(encodings()))
@pytest.mark.parametrize("as_json", [True, False])
def test_secrets_are_hidden_by_value(name: str, as_json: bool) -> None:
    """Raw, URL-encoded or inside base64: in notes, plans, tables, tails and JSON alike."""
    text = f"before {encodings()[name]} after"
    out, err = io.StringIO(), io.StringIO()
    with Report(json=as_json, stream=out, err=err) as report:
        report.mask([SECRET, ""])
        note(report, text)
        report.lines(text)
        report.table(text, ["Column"], [[text]])
        report(Event("plan", text, {"plan": [text], "steps": [{"step": {text: text}}]}))
        report.failure(Degraded(text, hosts={text: text}, where=text, cure=text, tail=[text]))
    both = out.getvalue() + err.getvalue()
    assert both.count(HIDDEN) >= 8
    for form in encodings().values():
        assert form not in both
        assert json.dumps(form)[1:-1] not in both
    assert "before" in both and "after" in both


def test_every_line_of_a_secret_is_hidden() -> None:
    """A private key has many lines, and a log shows them one by one."""
    out = io.StringIO()
    with Report(stream=out) as report:
        report.mask(["-----BEGIN KEY-----\nabcdef\nghijkl\n"])
        report.lines("got ghijkl", "and abcdef")
    assert out.getvalue() == f"got {HIDDEN}\nand {HIDDEN}\n"


def test_a_secret_that_is_folded_over_lines_is_hidden() -> None:
    """Base64 of a long one fills several lines of a tail, none of which holds it whole; their number stays."""
    secret = "MIIEvQ/+aB3" * 20
    folded = base64.encodebytes(b"key: " + secret.encode()).decode().split()
    out, err = io.StringIO(), io.StringIO()
    with Report(stream=out, err=err, json=True) as report:
        report.mask([secret])
        report.failure(UsageError("it failed", tail=["before", *folded, "after"]))
        report.lines(*folded)
    error, *notes = [json.loads(line) for line in out.getvalue().splitlines()][: len(folded) + 1]
    assert (error["tail"][0], error["tail"][-1], len(error["tail"])) == ("before", "after", len(folded) + 2)
    assert not [line for line in out.getvalue().splitlines() for piece in folded[1:-1] if piece[:8] in line]
    assert notes


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "fatal: unable to access 'https://ann:s3cr3t@git.example.org/a.git/'",
            "'https://[hidden]@git.example.org/a.git/'",
        ),
        ("https://ghp_token@github.com/a", "https://[hidden]@github.com/a"),
        ("postgres://app:pass@db/app", "postgres://[hidden]@db/app"),
        ("ssh://deploy@web1:22/", "ssh://deploy@web1:22/"),
        ("see https://example.org/@ann", "see https://example.org/@ann"),
    ],
)
def test_a_password_in_a_url_is_hidden_though_nobody_named_it(text: str, shown: str) -> None:
    """git prints a remote's address where it fails, with whatever stands in it."""
    out = io.StringIO()
    with Report(stream=out) as report:
        report.lines(text)
    assert out.getvalue().strip().endswith(shown)


def test_a_secret_that_begins_another_is_hidden_too() -> None:
    """The longer one goes first, so that its end doesn't stay."""
    out = io.StringIO()
    with Report(stream=out) as report:
        report.mask(["hunter"])
        report.mask(["hunter2000"])
        report.lines("hunter2000 hunter")
    assert out.getvalue() == f"{HIDDEN} {HIDDEN}\n"
