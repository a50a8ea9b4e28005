"""What behaviours are tried on: hosts that are ready, a project with numbered tags, and what is looked at there."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from crash.fleets import Fleet, open_socket, over
from crash.machines import Machine
from crash.oracles import tag_of
from crash.running import Ended, Running
from verbs.project import HOLD, SERVER, Project

HOSTS = 5
ROOT = "/srv/blog"
PROBE = {"timeout": "3s"}
RAZE = f"""
systemctl stop 'blog-lab@*' 'blog-other@*'
cd {ROOT} && find . -mindepth 2 -delete && find . -maxdepth 1 -not -type d -delete && rm -rf current
"""


class Ground:
    """Hosts that are ready, and one project; its tags are numbered, so that no two tests share one."""

    def __init__(self, project: Project, machines: list[Machine]) -> None:
        self.project = project
        self.machines = machines
        self._begun = yaml.safe_load((project.folder / "tagship.yml").read_text())
        self._number = 0

    def world(self, count: int, *, app: Mapping[str, Any] | None = None, **stage: Any) -> Fleet:
        """The first `count` hosts, with nothing on them; `app` and `stage` are settings beside the usual ones."""
        for machine in self.machines[:count]:
            machine.kill_agents()  # of a test that failed
            machine.host.run("sh", "-c", RAZE, user="root")
        document = {**self._begun, "app": {**self._begun["app"], "probe": PROBE, **(app or {})}}
        self.project.write({"tagship.yml": yaml.safe_dump(document), "serve.py": SERVER, "hold.py": HOLD})
        open_socket(self.project)
        return over(self.project, self.machines[:count], **stage)

    def tag(self, behaviour: str = "well", **files: str) -> str:
        """A new tag, which behaves so and answers with its own name."""
        self._number += 1
        name = f"v{self._number}"
        self.project.tag(name, {"version.txt": name, "behaviour.txt": behaviour, **files})
        return name

    def up(self, world: Fleet, count: int) -> list[str]:
        """So many new tags, deployed one after another."""
        tags = [self.tag() for _ in range(count)]
        for tag in tags:
            world.must("deploy", "--tag", tag)
        return tags


def releases(machine: Machine) -> list[str]:
    """What is in releases/, without the links by serial."""
    return sorted(path.name for path in (machine.disk / "releases").iterdir() if path.name != "by-serial")


def everything(machine: Machine) -> dict[str, tuple[object, ...]]:
    """Each path below the root with its kind, mode, size, time and target."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(machine.disk.rglob("*")):
        status = path.lstat()
        size = None if path.is_dir() else status.st_size  # a folder's tells nothing of what is in it
        target = str(path.readlink()) if path.is_symlink() else ""
        found[str(path.relative_to(machine.disk))] = (status.st_mode, status.st_mtime_ns, size, target)
    return found


def error(ended: Ended) -> dict[str, Any]:
    (found,) = [event for event in ended.events if event["event"] == "error"]
    return found


def stands(world: Fleet) -> set[str | None]:
    """The tags that the hosts stand on."""
    return {tag_of(release) for release in world.currents().values()}


def refused(ended: Ended) -> dict[str, Any]:
    """Its one error; fails unless it was refused before anything was changed."""
    assert ended.exit == 3, ended.words
    return error(ended)


def until_in(running: Running, phase: str, host: str, state: str = "begin") -> None:
    """Read on until a step of `host` in a phase called so begins, or is in another `state`."""
    now = next((event["phase"] for event in reversed(running.events) if event["event"] == "phase"), "")
    while (event := running.next()) is not None:
        if event["event"] == "phase":
            now = event["phase"]
        if event["event"] == "step" and event["host"] == host and now.startswith(phase) and event["state"] == state:
            return
    raise AssertionError(f"no step of {host} in {phase}: {running.events[-3:]}")


def strange(machine: Machine, path: Path) -> str:
    """The line of the host in known_hosts, with a key that isn't its own."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{path}.key"], check=True)
    return f"{machine.host.name},{machine.host.address} {Path(f'{path}.key.pub').read_text()}"


def logins(machine: Machine) -> list[str]:
    """What sshd has written down of the user who deploys."""
    said = machine.host.run("journalctl", "--quiet", "--output=cat", "--unit=ssh.service", user="root").stdout
    return [line for line in said.splitlines() if "deploy" in line]


class Lines:
    """Every command line that was seen on a host while inside, and here."""

    def __init__(self, machine: Machine) -> None:
        self.seen: set[str] = set()
        self._machine = machine

    def __enter__(self) -> Lines:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.01):
            for entry in Path("/proc").glob("[0-9]*"):  # the host's processes are among ours
                try:
                    self.seen.add(entry.joinpath("cmdline").read_bytes().decode(errors="replace"))
                except OSError:
                    continue


MANY = f"""
import json, os, sys
os.chdir("{ROOT}/releases")
model, count = sys.argv[1], int(sys.argv[2])
tag = model.partition("-")[2]
rows = [json.loads(line) for line in open("../state/journal.jsonl")]
staging = [row for row in rows if row["event"] == "staging"][-1]
record, declared = json.load(open(model + "/release.json")), json.load(open(model + "/manifest.json"))
with open("../state/journal.jsonl", "a") as journal:
    for serial in range(2, count + 1):
        name = "%04d-%s" % (serial, tag)
        os.makedirs(name + "/app")
        inner = {{**declared["record"], "id": name, "serial": serial}}
        os.link(model + "/sealed.json", name + "/sealed.json")
        for file, value in (("release.json", {{**record, "id": name, "serial": serial}}),
                            ("manifest.json", {{**declared, "release": name, "record": inner}})):
            with open(name + "/" + file, "w") as out:
                json.dump(value, out)
        for file in declared["rows"][:3]:
            os.makedirs(os.path.dirname(name + "/" + file[0]), exist_ok=True)
            os.link(model + "/" + file[0], name + "/" + file[0])
        for row in ({{**staging, "release": name, "serial": serial}}, {{"event": "staged", "release": name}},
                    {{"event": "good", "release": name}}):
            journal.write(json.dumps(row) + "\\n")
"""


READ = f"""
import json, select, sys
reads, seen, failed = 0, set(), []
while not select.select([sys.stdin], [], [], 0)[0]:
    reads += 1
    try:
        with open("{ROOT}/current/id") as file:
            seen.add(file.read().strip())
    except OSError as error:
        failed.append(str(error))
print(json.dumps({{"reads": reads, "seen": sorted(seen), "failed": failed[:5]}}))
"""


SCRAMBLE = f"""
import json, os, random, sys, time
dice = random.Random(sys.argv[1])
some = lambda: time.time() + dice.uniform(-2, 2) * 365 * 86400
for folder, folders, files in os.walk("{ROOT}"):
    for name in folders + files:
        path = os.path.join(folder, name)
        if "/app/" not in path and "/public/" not in path:
            at = some()
            os.utime(path, (at, at), follow_symlinks=False)
path = "{ROOT}/state/journal.jsonl"
rows = [json.loads(line) for line in open(path)]
with open(path, "w") as out:
    for row in rows:
        row["at"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(some()))
        out.write(json.dumps(row) + "\\n")
"""
