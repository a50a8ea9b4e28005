"""The lab itself: its hosts are real, apart from each other and from the world, and nothing of them stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hosts.trial import TRIALS

from lab.base import RECIPE, find
from lab.errors import LabError
from lab.fleet import HOME, Lab
from lab.host import Host
from lab.network import Subnet

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]
Hosts = Callable[[int], list[Host]]
DIAL = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20)"


def test_a_host_boots_systemd(hosts: Hosts) -> None:
    """Process 1 is systemd, and nothing that it starts fails."""
    (host,) = hosts(1)
    assert host.run("cat", "/proc/1/comm").stdout == "systemd\n"
    failed = host.run("systemctl", "--failed", "--no-legend").stdout
    assert (host.run("systemctl", "is-system-running", check=False).stdout, failed) == ("running\n", "")


def test_hosts_have_names_addresses_keys_and_disks_of_their_own(hosts: Hosts) -> None:
    """No two share one; the key that a host shows over the network is the one that known_hosts was written with."""
    one, two = hosts(2)
    for host in (one, two):
        assert host.run("hostname").stdout == f"{host.name}\n"
        assert f" {host.address}/24 " in host.run("ip", "-4", "-o", "address", "show", "dev", "eth0").stdout
        kept = host.known_hosts.read_text()
        (shown,) = subprocess.run(
            ["ssh-keyscan", "-t", "ed25519", host.address], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        assert f"{host.name},{shown}" in kept.splitlines()
    assert one.known_key.split()[2] != two.known_key.split()[2]
    one.run("touch", "mine")
    assert two.run("ls").stdout == ""
    ids = {host.run("cat", "/etc/machine-id").stdout for host in (one, two)}
    assert len(ids) == 2


def test_a_host_with_another_key_than_the_known_one_is_not_spoken_to(hosts: Hosts) -> None:
    """Nothing is trusted on first use, or by its address."""
    one, two = hosts(2)
    known = one.known_hosts.read_text()
    one.known_hosts.write_text(known.replace(one.known_key.split()[2], two.known_key.split()[2]))
    try:
        with pytest.raises(LabError, match="Host key verification failed"):
            one.run("true")
    finally:
        one.known_hosts.write_text(known)
    one.run("true")


def test_hosts_reach_each_other(hosts: Hosts) -> None:
    """They are on one switch, whatever firewall this machine has."""
    one, two = hosts(2)
    scanned = one.run("ssh-keyscan", "-t", "ed25519", two.address).stdout
    assert scanned.split()[1:] == two.known_key.split()[1:]


def test_a_host_has_no_internet(hosts: Hosts) -> None:
    """It has no route beyond its own network; names outside don't exist, and nobody waits to hear that."""
    (host,) = hosts(1)
    assert host.run("ip", "route", "show", "default").stdout == ""
    outside = host.run("python3", "-c", DIAL, "192.0.2.200", "80", check=False)  # TEST-NET-1 of RFC 5737: nobody's
    assert "Network is unreachable" in outside.stderr
    named = host.run("getent", "hosts", "example.org", check=False)
    assert (named.returncode, named.stdout) == (2, "")


def test_a_host_has_nothing_that_a_bare_debian_has_not(hosts: Hosts) -> None:
    """No git, no compiler, no server but sshd, nothing of ours; and `deploy` may do nothing that isn't any user's."""
    (host,) = hosts(1)
    for program in ("git", "cc", "pip3", "uv"):
        assert host.run("which", program, check=False).returncode == 1
    assert host.run("systemctl", "is-active", "nginx", check=False).stdout == "inactive\n"
    assert host.run("ls", "/srv").stdout == ""
    assert host.run("id", "-nG").stdout == "deploy\n"
    assert "password is required" in host.run("sudo", "-n", "true", check=False).stderr


def test_a_reset_host_forgets(lab: Lab, hosts: Hosts) -> None:
    """A file, an enabled unit and the host key go with the old disk; the address stays."""
    (host,) = hosts(1)
    key = host.known_key
    host.run("touch", "/etc/mine", user="root")
    host.run("systemctl", "enable", "nginx", user="root")
    again = lab.reset(1)
    assert again.address == host.address
    assert again.known_key != key
    assert again.run("ls", "/etc/mine", check=False).returncode == 2
    assert again.run("systemctl", "is-enabled", "nginx", check=False).stdout == "disabled\n"


def test_a_host_that_lost_its_power_boots_from_its_disk(lab: Lab, hosts: Hosts) -> None:
    """All its processes end at the same instant; what was on the disk is there after the next boot."""
    (host,) = hosts(1)
    before = host.run("cat", "/proc/sys/kernel/random/boot_id").stdout
    host.run("touch", "mine")
    host.kill()
    assert not host.alive()
    with pytest.raises(LabError, match="exit status 255"):
        host.run("true")
    lab.boot(1)
    assert host.run("ls").stdout == "mine\n"
    assert host.run("cat", "/proc/sys/kernel/random/boot_id").stdout != before


def test_a_host_reboots_when_it_is_told_to(hosts: Hosts) -> None:
    """`systemctl reboot` on the host is enough; it keeps its address and its disk."""
    (host,) = hosts(1)
    before = host.run("cat", "/proc/sys/kernel/random/boot_id").stdout
    host.run("touch", "mine")
    host.reboot()
    assert host.run("cat", "/proc/sys/kernel/random/boot_id").stdout != before
    assert host.run("systemctl", "is-system-running").stdout == "running\n"
    assert host.run("ls").stdout == "mine\n"


def test_units_of_one_host_are_not_those_of_another(hosts: Hosts) -> None:
    """Stopping all that a unit started ends nothing elsewhere, though both units have the same name."""
    one, two = hosts(2)
    for host in (one, two):
        host.run("systemd-run", "--unit=same", "sleep", "infinity", user="root")
    one.run("systemctl", "stop", "same", user="root")
    assert one.run("systemctl", "is-active", "same", check=False).stdout == "inactive\n"
    assert two.run("systemctl", "is-active", "same").stdout == "active\n"
    assert two.run("pgrep", "-c", "-x", "sleep").stdout == "1\n"


def test_two_labs_do_not_meet(lab: Lab, hosts: Hosts) -> None:
    """Another lab has another subnet; taking it down leaves this one as it was."""
    (host,) = hosts(1)
    other = Lab(f"other-{os.getpid()}")
    try:
        (theirs,) = other.up(1)
        assert theirs.subnet != host.subnet
        outside = host.run("python3", "-c", DIAL, theirs.address, "22", check=False)
        assert "Network is unreachable" in outside.stderr
    finally:
        other.down()
    assert not theirs.alive()
    assert host.run("systemctl", "is-system-running").stdout == "running\n"


@pytest.fixture
def runs() -> Iterator[Path]:
    """A folder for labs, on the disk where the bases are: `tmp_path` can be on one that no overlay lies on."""
    with tempfile.TemporaryDirectory(prefix="trial-", dir=HOME) as folder:
        yield Path(folder)


@pytest.mark.parametrize("trial", sorted(TRIALS))
def test_a_lab_leaves_nothing_behind(lab: Lab, runs: Path, trial: str) -> None:
    """No interface, namespace, mount, process, control group or file; also after its starter was killed midway."""
    lab.up(1)  # the base is there now, and the trial uses it
    alone = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--mount", "--net"]
    argv = [*alone, sys.executable, str(Path(__file__).with_name("trial.py")), trial, str(runs)]
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, done.stderr
    before, during, after = json.loads(done.stdout)
    came = {what: Counter(during[what]) - Counter(before[what]) for what in before}
    left = {what: Counter(after[what]) - Counter(before[what]) for what in before}
    assert all(came[what] for what in ("links", "processes", "control groups", "files")), came
    assert not any(left.values()), left


def test_it_is_had_by_hand(lab: Lab) -> None:
    """`inv lab` brings one up, opens a shell on a host, installs one anew and takes all down, a process each."""
    lab.up(1)
    name = f"hand-{os.getpid()}"

    def inv(*argv: str, stdin: str = "") -> str:
        words = [str(Path(sys.executable).with_name("inv")), "lab", *argv, "--name", name]
        done = subprocess.run(words, cwd=ROOT, input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    try:
        said = inv("up", "2")
        assert f"lab2  {Lab(name).host(2).address}\n" in said
        inv("ssh", "2", stdin="touch mine\n")
        assert "\nmine\n" in inv("ssh", "2", stdin="hostname; ls\n")
        inv("reset", "2")
        assert inv("ssh", "2", stdin="hostname; ls\n").endswith("\nlab2\n")
        inv("down")
        assert not Lab(name).folder.exists()
    finally:
        Lab(name).down()


def test_a_lab_that_never_was_can_be_taken_down(lab: Lab) -> None:
    """`down` is safe at any time, any number of times."""
    never = Lab(f"never-{os.getpid()}")
    never.down()
    never.down()
    assert not never.group.folder.exists()


def test_what_is_left_of_a_lab_is_not_taken_for_one_that_lives(lab: Lab, hosts: Hosts) -> None:
    """After a reboot of the machine a folder names a subnet that is another lab's by now: its cable stays."""
    (host,) = hosts(1)
    old = Lab(f"old-{os.getpid()}", kept=True)
    old.folder.mkdir()
    record = {"subnet": host.subnet.prefix, "base": str(host.base.folder), "owner": None}
    (old.folder / "lab.json").write_text(json.dumps(record))
    old.down()
    assert not old.folder.exists()
    host.run("true")


def test_a_folder_without_a_record_is_cleared_away(lab: Lab) -> None:
    """It is what a crash leaves before there is anything else, or after everything else has gone."""
    for name, text in (("nothing", None), ("torn", '{"subnet": "10.')):
        left = Lab(f"{name}-{os.getpid()}", kept=True)
        left.folder.mkdir(parents=True)
        if text:
            (left.folder / "lab.json").write_text(text)
        Lab(f"next-{os.getpid()}").down()
        assert not left.folder.exists()


@pytest.mark.parametrize("third", [0, 77, 255])
def test_names_of_cables_are_short_enough(third: int) -> None:
    """Linux allows 15 characters; and a dot in them would mean a VLAN to some."""
    link = Subnet(f"172.29.{third}").link
    assert len(link) <= 15
    assert "." not in link


def test_a_changed_recipe_makes_another_base(tmp_path: Path) -> None:
    """The base is found by what it was made of, and never made over."""
    made = tmp_path / f"base-{RECIPE.digest}"
    made.mkdir()
    found = find(tmp_path)
    assert found is not None
    assert found.folder == made
    assert find(tmp_path, replace(RECIPE, packages=(*RECIPE.packages, "git"))) is None


@pytest.mark.parametrize("name", ["", "a/b", "..", "-x", "A"])
def test_a_name_that_could_lead_elsewhere_is_refused(name: str) -> None:
    """The name becomes a folder and a control group."""
    with pytest.raises(LabError, match="no name of a lab"):
        Lab(name)
