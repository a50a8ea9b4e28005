"""docs/serving.md, written from one run of the trials; its words are in files/serving.md.j2."""

from __future__ import annotations

import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from bench.serving.clients import LINGER, LONG, UPLOAD_BYTES
from bench.serving.load import CONNECTIONS, TIMEOUT
from bench.serving.projects import DOWNLOAD_BYTES, FILES, MEMORY, PROBE_SECONDS, SERVERS, STARTS
from bench.serving.proof import Attempt, Pair
from bench.serving.trial import Trial
from lab.host import Host

TEMPLATE = Path(__file__).with_name("files") / "serving.md.j2"


@dataclass(frozen=True)
class Run:
    """All that one run found."""

    machine: str
    versions: str
    pairs: Sequence[Pair]
    bad: Sequence[tuple[Trial, Sequence[Attempt]]]
    others: Sequence[Trial]


def describe(host: Host) -> str:
    """The versions of what takes part."""
    nginx = host.run("/usr/sbin/nginx", "-v", user="root").stderr.strip().rpartition("/")[2]
    python = host.run("python3", "--version").stdout.split()[1]
    debian = host.run("cat", "/etc/debian_version").stdout.strip()
    wrk = subprocess.run(["wrk", "--version"], capture_output=True, text=True, check=False).stdout.split()[1]
    servers = ", ".join(_locked(kind) for kind in STARTS)
    return f"wrk {wrk.rpartition('/')[2]}; on the host Debian {debian}, nginx {nginx}, Python {python}, {servers}"


def _locked(kind: str) -> str:
    """The server of one kind of application, as its lock has it: `gunicorn 23.0.0`."""
    lines = (FILES / kind / "requirements.lock").read_text().splitlines()
    (found,) = [line for line in lines if line.startswith(f"{SERVERS[kind]}==")]
    return found.split()[0].replace("==", " ")


def write(path: Path, run: Run) -> None:
    """Write the page."""
    template = jinja2.Template(
        TEMPLATE.read_text(), keep_trailing_newline=True, undefined=jinja2.StrictUndefined, autoescape=False
    )
    settings = {
        "connections": CONNECTIONS,
        "long": f"{LONG:g}",
        "upload": f"{UPLOAD_BYTES / 1e6:g}",
        "download": f"{DOWNLOAD_BYTES / 1e6:g}",
        "linger": f"{LINGER:g}",
        "timeout": TIMEOUT,
        "servers": SERVERS,
        "probe": PROBE_SECONDS,
        "memory": MEMORY,
    }
    path.write_text(template.render(vars(run) | settings, row=_row))


def _row(trial: Trial) -> str:
    """The cells that every trial has, after its name."""
    answers, (pages, *long) = trial.answers, trial.tallies
    mode = "keep-alive" if trial.keep_alive else "close"
    changes = f"{trial.changes}, {statistics.median(trial.seconds):.1f} s each"
    waited = "; ".join(f"{tally.name}: {tally.done}, {tally.failed} failed" for tally in long)
    seen = f"{pages.done}, {pages.failed} failed"
    cells = (mode, changes, f"{answers.requests:,}", _failures(trial), waited, seen, f"{answers.p99:.0f} ms")
    return f"| {' | '.join(cells)}"


def _failures(trial: Trial) -> str:
    """How many requests of the load, and by which failure."""
    answers = trial.answers
    parts = {f"{status}": count for status, count in sorted(answers.wrong.items())}
    parts |= {"refused": answers.connect, "cut": answers.read + answers.write, "late": answers.timeout}
    parts |= {"not whole": answers.torn}
    told = ", ".join(f"{name}: {count:,}" for name, count in parts.items() if count)
    return f"{answers.failed:,} ({told})" if told else "0"
