"""Half an hour in which hosts, connections and clients die at random, while somebody deploys and rolls back."""

from __future__ import annotations

import collections
import random
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field

from crash.fleets import Fleet, fleet
from crash.machines import CLOSING
from crash.matrix import Trial, Violated, fault
from crash.oracles import ANSWER, UNANSWERED, Standing, o2_answers, o5_told, tag_of
from crash.running import Running

TAGS = ("v1", "v2", "v3", "v4")
HOSTS, SECONDS = {True: 5, False: 3}, {True: 1800.0, False: 30.0}
"""By whether the run is full."""
ROUND = (60.0, 90.0)
"""Seconds of killing between two pauses."""
BETWEEN = {True: 5.0, False: 2.0}
"""Seconds between two faults, on average."""
BACK = 15.0
"""Seconds, at most, in which a host that has booted answers again."""
QUEUE = "60s"
"""For how long a deploy after the killing may queue: a holder that died in silence has its lock for 45 s at most."""


class Log:
    """What was done when, in seconds since the beginning; so that a failure can be understood."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self._lines: list[str] = []
        self._lock = threading.Lock()

    def __call__(self, words: str) -> None:
        with self._lock:
            self._lines.append(f"{time.monotonic() - self.began:7.1f} {words}")

    def last(self, count: int = 120) -> str:
        """The newest lines, oldest first."""
        with self._lock:
            return "\n".join(self._lines[-count:])


@dataclass
class Excuses:
    """When a host was dead, or cut off by us: only then may those who visit it be failed."""

    spans: list[tuple[float, float]] = field(default_factory=list)
    since: float | None = None

    def covers(self, begin: float, end: float) -> bool:
        """Whether a request between these moments met any of it."""
        spans = [*self.spans, *([(self.since, float("inf"))] if self.since is not None else [])]
        return any(begin <= until and start <= end for start, until in spans)


class Visitor(threading.Thread):
    """Somebody who visits one host again and again, and keeps when a visit failed."""

    def __init__(self, host: Standing) -> None:
        super().__init__(daemon=True)
        self.host = host
        self.asked = 0
        self.failed: list[tuple[float, float, str]] = []
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.05):
            self.asked += 1
            began = time.monotonic()
            try:
                with urllib.request.urlopen(self.host.url + self.host.path, timeout=ANSWER) as answer:
                    answer.read()
            except UNANSWERED as error:
                self.failed.append((began, time.monotonic(), repr(error)))

    def end(self) -> None:
        """Let the visit that is under way end."""
        self._over.set()
        self.join(2 * ANSWER)


class Killer(threading.Thread):
    """Kills hosts, connections and clients at random from its start until `end`, which leaves all hosts well."""

    def __init__(
        self, world: Fleet, dice: random.Random, log: Log, excuses: dict[str, Excuses], between: float
    ) -> None:
        super().__init__(daemon=True)
        self.client: Running | None = None
        """The command that is under way, which may be killed; set by who runs it."""
        self.murdered: set[int] = set()
        """Pids of the clients that were killed."""
        self.count = 0
        self.broken: list[str] = []
        self._world, self._dice, self._log, self._excuses = world, dice, log, excuses
        self._between = between
        self._over = threading.Event()
        self._busy: dict[str, threading.Thread] = {}

    def run(self) -> None:
        while not self._over.wait(self._dice.expovariate(1 / self._between)):
            self.count += 1
            name = self._dice.choice(sorted(self._world.machines))
            act = self._dice.choice((self._client, self._connection, self._power, self._cable))
            act(name)

    def end(self) -> None:
        """Let what was begun come to its end: every host is on, and has its cable."""
        self._over.set()
        self.join()
        for thread in self._busy.values():
            thread.join()

    def _client(self, _name: str) -> None:
        running = self.client
        if running is not None and running.process.poll() is None:
            self.murdered.add(running.process.pid)
            running.kill()
            self._log(f"client {running.process.pid} is killed")

    def _connection(self, name: str) -> None:
        way = self._dice.choice(CLOSING)
        if not self._at_work(name):
            self._log(f"{name}: connections end ({way})")
            self._world.machines[name].close(way)

    def _power(self, name: str) -> None:
        seconds = self._dice.uniform(0, 4)
        machine = self._world.machines[name]

        def die() -> None:
            machine.kill()
            self._log(f"{name}: dead for {seconds:.1f} s")
            time.sleep(seconds)
            machine.boot()
            o2_answers(self._world.standing(name), patience=BACK)

        self._away(name, die)

    def _cable(self, name: str) -> None:
        seconds = self._dice.uniform(30, 40) if self._dice.random() < 0.15 else self._dice.uniform(0.2, 8)
        machine = self._world.machines[name]

        def go_silent() -> None:
            self._log(f"{name}: without its cable for {seconds:.1f} s")
            with machine.pulled():
                time.sleep(seconds)

        self._away(name, go_silent)

    def _away(self, name: str, work: Callable[[], None]) -> None:
        """Do `work` beside all else; who visits the host until it is done may be failed."""
        if self._at_work(name):
            return

        def begin() -> None:
            excuse = self._excuses[name]
            excuse.since = time.monotonic()
            try:
                work()
            except Exception as error:  # told as a violation: a host that isn't well again
                self.broken.append(f"{name}: {error}")
            excuse.spans.append((excuse.since, time.monotonic()))
            excuse.since = None
            self._log(f"{name}: is back")

        self._busy[name] = threading.Thread(target=begin)
        self._busy[name].start()

    def _at_work(self, name: str) -> bool:
        return name in self._busy and self._busy[name].is_alive()


@fault(
    "half-an-hour-of-killing",
    holds="each pause ends, after one deploy, on one version; no request to a living host fails",
    lab=True,
    quick=False,
)
def chaos(trial: Trial) -> None:
    """Five hosts; a pause every 60 to 90 s, at which O1, O2, O3, O5 and O6 are asked of all of them."""
    with fleet(trial.scratch, HOSTS[trial.full]) as world:
        for tag in TAGS:
            world.tag(tag)
        for tag in TAGS[:2]:
            world.must("deploy", "--tag", tag)
        until, number = time.monotonic() + SECONDS[trial.full], 0
        counts = collections.Counter[str]()
        while time.monotonic() < until:
            number += 1
            with trial.at(f"round-{number}"):
                dice = trial.dice(f"round-{number}")
                seconds = min(dice.uniform(*ROUND), max(until - time.monotonic(), 20.0))
                _Round(world, dice, seconds, counts, BETWEEN[trial.full]).run()
        ends = [f"{what} {count}" for what, count in sorted(counts.items()) if what.startswith("exit")]
        told = f"{counts['faults']} faults, {counts['changes']} deploys and rollbacks ({', '.join(ends)})"
        visits = f"{counts['requests']:,} requests, {counts['failed']:,} failed"
        trial.notes.append(f"{told}, {visits}, {'not all' if trial.violations else 'all'} of them excused")


class _Round:
    """So many seconds of killing, and the pause after it."""

    def __init__(
        self, world: Fleet, dice: random.Random, seconds: float, counts: collections.Counter[str], between: float
    ) -> None:
        self.world, self.dice, self.seconds, self.counts, self.between = world, dice, seconds, counts, between
        self.log = Log()
        self.excuses = {name: Excuses() for name in world.machines}

    def run(self) -> None:
        visitors = [Visitor(host) for host in self.world.hosts]
        killer = Killer(self.world, random.Random(self.dice.random()), self.log, self.excuses, self.between)
        for thread in (*visitors, killer):
            thread.start()
        try:
            try:
                self._change_until(time.monotonic() + self.seconds, killer)
            finally:
                killer.end()
                self.log("the killing ends")
            self._pause(killer)
        except Violated as violated:
            raise Violated(f"{violated}\n{self.log.last()}") from None
        finally:
            for visitor in visitors:
                visitor.end()
            self._count(visitors, killer)
        self._judge(visitors)

    def _change_until(self, end: float, killer: Killer) -> None:
        """Deploy and roll back, again and again; a client that nobody killed tells the truth about what it did."""
        while time.monotonic() < end:
            words = ("rollback",) if self.dice.random() < 0.3 else ("deploy", "--tag", self.dice.choice(TAGS))
            old = self.world.currents()
            killer.client = running = self.world.start(*words)
            ended = running.ended()
            self.counts["changes"] += 1
            self.counts[f"exit {ended.exit}" if ended.exit >= 0 else "exit by SIGKILL"] += 1
            self.log(f"fab {' '.join(words)} [{running.process.pid}]: {ended.words if ended.exit else 'exit 0'}")
            if running.process.pid not in killer.murdered:
                new = (ended.result or {}).get("release")
                o5_told(self.world.hosts, ended.exit, ended.result, old=old, new=str(tag_of(new)))

    def _pause(self, killer: Killer) -> None:
        if killer.broken:
            raise Violated(f"it didn't come back by itself: {killer.broken}")
        tag = self.dice.choice(TAGS)
        ended = self.world.fab("deploy", "--tag", tag, "--wait", QUEUE)
        self.log(f"fab deploy --tag {tag} in the pause: exit {ended.exit}")
        if ended.exit:
            raise Violated(f"O3: one more deploy must succeed: {ended.words}")
        o5_told(self.world.hosts, ended.exit, ended.result, old={}, new=tag)
        self.world.whole([tag])
        self.world.one_version(list(self.world.machines))
        self.world.clean()

    def _count(self, visitors: list[Visitor], killer: Killer) -> None:
        self.counts["faults"] += killer.count
        self.counts["requests"] += sum(visitor.asked for visitor in visitors)
        self.counts["failed"] += sum(len(visitor.failed) for visitor in visitors)

    def _judge(self, visitors: list[Visitor]) -> None:
        for visitor in visitors:
            excuses = self.excuses[visitor.host.name]
            for begin, end, words in visitor.failed:
                if not excuses.covers(begin, end):
                    when = f"{begin - self.log.began:.1f} to {end - self.log.began:.1f}"
                    raise Violated(f"O6 {visitor.host.name}, {when}, alive and reached: {words}\n{self.log.last()}")
