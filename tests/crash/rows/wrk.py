"""Nothing at all fails, and then not a single request: deploys and rollbacks under the load of wrk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from crash.matrix import Trial, Violated, fault
from crash.needs import programs

from bench.hosts import run_hosts
from bench.serving import proof
from bench.serving import trial as serving
from bench.serving.load import CONNECTIONS
from lab.host import Host

CYCLES, MORE = 50, 10
REQUESTS = 1_000_000
"""In all, at least, in a full run."""


@fault(
    "deploys-and-rollbacks-under-wrk",
    holds="0 of >= 1,000,000 requests fail; O6",
    lab=True,
    needs=programs("wrk"),
    quick=False,  # tests/hosts/test_serving.py is its short pass
)
def under_wrk(trial: Trial) -> None:
    """A WSGI application behind nginx, 64 connections, with keep-alive and without; long requests beside."""
    with run_hosts(1) as (host,):
        project = proof.prepare("wsgi", host, trial.scratch)
        trials: list[serving.Trial] = []
        for keep_alive in (True, False):
            trials += _cycles(trial, project, host, len(trials), CYCLES if trial.full else 1, keep_alive=keep_alive)
        while trial.full and sum(done.answers.requests for done in trials) < REQUESTS and len(trials) < 20:
            trials += _cycles(trial, project, host, len(trials), MORE, keep_alive=False)
    requests = sum(done.answers.requests for done in trials)
    trial.notes.append(
        f"{requests:,} requests over {CONNECTIONS} connections, {sum(t.changes for t in trials)} changes"
    )
    if trial.full and requests < REQUESTS:
        with trial.at("requests"):
            raise Violated(f"only {requests:,} requests were made")


@contextmanager
def _told() -> Iterator[None]:
    """The bench ends its run where something fails; a row tells of it."""
    try:
        yield
    except SystemExit as ending:
        raise Violated(str(ending)) from None


def _cycles(
    trial: Trial, project: proof.Project, host: Host, number: int, times: int, *, keep_alive: bool
) -> list[serving.Trial]:
    """So many deploys, each rolled back; in a full run the same time without, to compare how long answers take."""
    mode = "keep-alive" if keep_alive else "close"
    done: list[serving.Trial] = []
    with trial.at(f"{mode}-{number}"), _told():
        if trial.full:
            pair = proof.come_and_go(project, host, times, number + 1, keep_alive=keep_alive)
            done = [pair.changing, pair.quiet]
            ratio = f"p99 {pair.changing.answers.p99:.0f} ms, idle {pair.quiet.answers.p99:.0f} ms: {pair.ratio:.2f}"
            trial.notes.append(f"{mode}, {times} cycles: {ratio}")
        else:
            done = [_changes_alone(project, host, times, number + 1, keep_alive=keep_alive)]
        trial.repetitions += times - 1
        if failed := [each for each in done if each.failed]:
            raise Violated(f"O6: {sum(each.failed for each in failed)} failed: {serving.told(failed[0])}")
    return done


def _changes_alone(project: proof.Project, host: Host, times: int, number: int, *, keep_alive: bool) -> serving.Trial:
    tags = [f"v1.{number}.{turn}" for turn in range(times)]
    for tag in tags:
        project.release(tag)

    def work() -> list[float]:
        return [serving.well(project, *words) for tag in tags for words in (("deploy", "--tag", tag), ("rollback",))]

    address = f"{host.address}:{proof.PORTS[project.kind]}"
    return serving.observe("wsgi", project, address, work, keep_alive=keep_alive)
