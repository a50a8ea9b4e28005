"""The helper on a real host: what its grammar has, and everything else, which it refuses."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hosts.outfit import DEPLOY, HELPER, ROOT, USER, Stage, as_user, ask_all, put, stage_by_hand, until

from lab.host import Host

pytestmark = pytest.mark.lab

CONF = f"/etc/tagship/{USER}.json"
INSTANCES = (
    "", " ", "1", "001", "0001 ", " 0001", "0001\n", "\n0001", "0001\n0002", "٠٠٠١", "０００１", "0001\u00a0",
    "-0001", "--0001", "+0001", "0x01", "1e3", "0001.", ".worker", "0001.Worker", "0001.1", "0001.-x", "0001.a.b",
    "0001.a_b",
    "0001.wörker", "0001/worker", "../0001", "0001/../0002", "0001@x", "blog-lab@0001", "blog-lab@0001.service",
    "0001.service.d/../../ssh", "ssh.service", "ssh", "*", "0001*", "[0]001", "000?", "%i", "0001%n", "$(id)", "`id`",
    "0001;id", "0001|id", "-M", "--all", "--root=/", "--no-block", "--host=x", "0001" * 5, "0" * 10_000,
    "0001." + "a" * 32, "0001.\udc80",
)  # fmt: skip
"""What is no instance."""


@pytest.fixture
def host(hosts: Callable[[int], list[Host]], tmp_path: Path) -> Host:
    """One host, made ready."""
    made = hosts(1)[0]
    Stage(tmp_path, [made]).made_ready()
    return made


def ask(host: Host, *words: str, user: str = DEPLOY, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Ask the helper as `user`, by sudo."""
    return host.run("sudo", "-n", HELPER, *words, user=user, check=False, stdin=stdin)


def test_all_that_is_not_in_the_grammar_is_refused(host: Host) -> None:
    """Exit status 2 and one line, for every other verb, instance, number and form; and nothing was started."""
    questions: list[list[str]] = [[], [USER], [""], ["-h"], ["--help"], ["version"]]
    for name in ("", ".", "..", "/", "ssh", "other-lab", "../tagship/blog-lab", f"{USER}.json", f"{USER}\n",
                 "BLOG-LAB", "/etc/tagship/blog-lab", "blog-lab@", "-blog", "a" * 10_000, "blog-läb"):  # fmt: skip
        questions.append([name, "version"])
    for verb in (
        "",
        "Start",
        "start ",
        "restart",
        "enable",
        "--version",
        "daemon-reload",
        "__class__",
        "sta\nrt",
        "boot",
    ):
        questions.append([USER, verb])
        questions.append([USER, verb, "0001"])
    for verb in ("start", "stop"):
        questions.append([USER, verb])
        questions += [[USER, verb, instance] for instance in INSTANCES]
        questions += [[USER, verb, "0001", instance] for instance in ("", "ssh.service", "--now", "0001\n")]
        questions.append([USER, verb, *["0001"] * 65])
    questions += [
        [USER, "version", "x"],
        [USER, "boot"],
        [USER, "boot", "0001"],
        [USER, "serve"],
        [USER, "serve", "x"],
    ]
    for instance in ("", "ALL", "all ", "*", "ssh", "all\n", "--all", "0001\n", "../0001", "٠٠٠١"):
        questions.append([USER, "journal", instance, "10"])
    for lines in ("", "-1", "+1", "1.5", "all", "1e3", "٣", "10\n", " 10", "999999", "10 --unit=ssh", "--follow"):
        questions.append([USER, "journal", "all", lines])
    questions += [[USER, "journal"], [USER, "journal", "all"], [USER, "journal", "all", "10", "Follow"],
                  [USER, "journal", "all", "10", "--follow"],
                  [USER, "journal", "all", "10", "follow", "x"]]  # fmt: skip
    questions += [[USER, "run"], [USER, "run", "0001"], [USER, "run", "0001", "id"], [USER, "run", "0001", "--"],
                  [USER, "run", "--", "id"], [USER, "run", "0001", "-", "id"],
                  [USER, "run", "0001.worker", "--", "id"]]  # fmt: skip
    questions += [[USER, "run", instance, "--", "id"] for instance in INSTANCES]
    said = ask_all(host, [["sudo", "-n", HELPER, *question] for question in questions])
    assert len(said) == len(questions)
    for question, (status, out, err) in zip(questions, said, strict=True):
        assert (status, out) == (2, ""), (question, out, err)
        assert err.startswith("tagship-helper: refused: "), question
        assert err.count("\n") == 1, question
    assert host.run("systemctl", "list-units", "--all", "--no-legend", f"{USER}@*").stdout == ""
    assert host.run("systemctl", "is-active", "ssh").stdout == "active\n"


def test_only_the_one_who_deploys_is_heard(host: Host) -> None:
    """By sudo, and for nothing but the helper; root itself only boots; nobody else gets that far."""
    others = [
        ["true"], ["-u", USER, "true"], ["-u", "www-data", "id"], ["-i"], ["-s"], ["/bin/sh", "-c", "id"],
        ["systemctl", "start", f"{USER}@0001"], ["-e", CONF], [f"{HELPER}x"], [f"{HELPER}/../sh"],
        ["-g", "root", HELPER], ["-u", USER, HELPER, USER, "version"], ["python3", HELPER, USER, "version"],
        ["-l", "true"],
        ["SUDO_UID=0", HELPER, USER, "version"], ["LD_PRELOAD=/tmp/x.so", HELPER, USER, "version"],
    ]  # fmt: skip
    for argv, (status, out, _err) in zip(
        others, ask_all(host, [["sudo", "-n", *words] for words in others]), strict=True
    ):
        assert status != 0, argv
        assert out == "", argv
    # Python's own variables don't reach it, nor does a folder that it is called from.
    put(host, f"/home/{DEPLOY}/json.py", "print('mine')\n")
    here = f"cd /home/{DEPLOY} && PYTHONPATH=. PYTHONSTARTUP=json.py sudo -n {HELPER} {USER} version"
    assert host.run("sh", "-c", here, user=DEPLOY).stdout == "1\n"

    assert as_user(host, "deploy", f"sudo -n {HELPER} {USER} version").returncode == 1
    assert as_user(host, USER, f"sudo -n {HELPER} {USER} version").returncode == 1
    for user in ("deploy", USER, DEPLOY):
        said = as_user(host, user, f"{HELPER} {USER} version")
        assert (said.returncode, said.stderr) == (2, "tagship-helper: refused: not for you\n"), user
    put(host, "/etc/sudoers.d/other", f"deploy ALL=(root) NOPASSWD: {HELPER}\n", "0440", user="root")
    said = as_user(host, "deploy", f"sudo -n {HELPER} {USER} stop 0001")
    assert (said.returncode, said.stderr) == (2, "tagship-helper: refused: not for you\n")
    assert host.run(HELPER, USER, "version", user="root", check=False).returncode == 2
    assert host.run(HELPER, USER, "boot", user="root").stdout == ""
    assert as_user(host, "root", f"SUDO_UID=0 {HELPER} {USER} boot").returncode == 2


def test_its_settings_must_be_roots_alone(host: Host) -> None:
    """A link, another owner, others who may write, other keys or values: nothing of it is believed."""
    values = json.loads(host.run("cat", CONF).stdout)
    broken: list[object] = [
        [], "", None, {}, {**values, "helper": 2}, {**values, "more": 1}, {**values, "root": "srv/blog"},
        {**values, "root": 1}, {**values, "deploy": "nobody-here"}, {**values, "deploy": "root"},
        {**values, "app": "other"}, {**values, "stage": "other"}, {**values, "deploy": None},
    ]  # fmt: skip
    changes = [
        f"chown {DEPLOY} {CONF}",
        f"chmod g+w {CONF}",
        f"chmod o+w {CONF}",
        "chmod o+w /etc/tagship",
        f"mv {CONF} /etc/tagship/real.json && ln -s real.json {CONF}",
        f"rm {CONF}",
        f"rm {CONF} && mkdir {CONF}",
        f"echo '{{' >{CONF}",
        *(f"echo {shlex.quote(json.dumps(value))} >{CONF}" for value in broken),
    ]
    ask_version = ["runuser", "-u", DEPLOY, "--", "sudo", "-n", HELPER, USER, "version"]
    restore = f"rm -rf {CONF} && cp -p /root/good.json {CONF} && chmod 0755 /etc/tagship"
    host.run("cp", "-p", CONF, "/root/good.json", user="root")
    steps = [step for change in changes for step in (["sh", "-c", change], ask_version, ["sh", "-c", restore])]
    said = ask_all(host, [*steps, ask_version], user="root")
    for number, change in enumerate(changes):
        changed, refused, restored = said[3 * number : 3 * number + 3]
        assert (changed[0], refused[:2], restored[0]) == (0, (2, ""), 0), change
    assert said[-1] == (0, "1\n", "")
    for user in ("root", DEPLOY, "nobody-here"):
        put(host, CONF, json.dumps({**values, "user": user}), user="root")
        assert ask(host, USER, "run", "0001", "--", "id").returncode == 2
    # What is another app's stays so, also for the same user.
    put(host, "/etc/tagship/other-lab.json", json.dumps({**values, "app": "other", "deploy": "deploy"}), user="root")
    assert ask(host, "other-lab", "start", "0001").returncode == 2


def test_run_becomes_the_service_user_and_ends_all_it_began(host: Host) -> None:
    """Another user with nothing inherited; its status is passed on; once nobody reads, nothing of it lives."""
    stage_by_hand(host, "0001", "#!/bin/sh\nexec sleep 600\n")
    # It ignores SIGTERM, also in a session of its own whose parent is gone: only the kernel's word ends it.
    stubborn = "trap '' TERM; (setsid sh -c \"trap '' TERM; sleep 611\" &) ; sleep 612"
    reader = f"timeout 1 sudo -n {HELPER} {USER} run 0001 -- sh -c {shlex.quote(stubborn)} | true"
    closed = subprocess.Popen(host.ssh("sh", "-c", reader, user=DEPLOY), stdin=subprocess.DEVNULL)

    facts = "id -un; id -Gn; umask; pwd; env | sort; cat /proc/self/status | grep NoNew; ls /proc/self/fd | wc -l"
    said = host.run("env", "MINE=1", "sudo", "-n", HELPER, USER, "run", "0001", "--", "sh", "-c", facts, user=DEPLOY)
    assert said.stdout.split("\n")[:4] == [USER, USER, "0007", "/"]
    shown = dict(line.split("=", 1) for line in said.stdout.splitlines() if "=" in line)
    assert set(shown) - {"_", "SHLVL", "PWD", "OLDPWD"} == {"PATH", "LANG", "SYSTEMD_COLORS"}
    assert "NoNewPrivs:\t1" in said.stdout
    assert said.stdout.endswith("\n4\n")  # its three streams, and the folder that it lists
    assert ask(host, USER, "run", "0001", "--", "cat", stdin="its input").stdout == "its input"
    assert ask(host, USER, "run", "0001", "--", "sh", "-c", "exit 7").returncode == 7
    assert ask(host, USER, "run", "0001", "--", "sh", "-c", "kill -9 $$").returncode == 137
    words = ["a b", "", "$(id)", "-x", "--", "é", "*"]
    echoed = ask(host, USER, "run", "0001", "--", "python3", "-c", "import sys; print(sys.argv[1:])", *words)
    assert echoed.stdout == f"{words}\n"
    missing = ask(host, USER, "run", "0002", "--", "id")
    assert (missing.returncode, "No such file" in missing.stderr) == (127, True)
    assert "not permitted" in ask(host, USER, "run", "0001", "--", "chown", "root", f"{ROOT}/shared/data").stderr
    # What stays in the background goes with it.
    began = ask(host, USER, "run", "0001", "--", "sh", "-c", "setsid sleep 613 >/dev/null 2>&1 & echo begun")
    assert began.stdout == "begun\n"
    assert alive(host) <= {"611", "612"}

    closed.wait(60)
    gone(host, "a reader that is gone")
    # The connection breaks in the middle: sshd closes the pipe.
    broken = subprocess.Popen(
        host.ssh("sudo", "-n", HELPER, USER, "run", "0001", "--", "sleep", "614", user=DEPLOY),
        stdin=subprocess.DEVNULL,
    )
    until(lambda: alive(host) == {"614"}, "it began")
    broken.kill()
    broken.wait()
    gone(host, "a connection that broke")


SERVED = """
import json, os, socket, subprocess, sys
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
helper = subprocess.Popen(sys.argv[1:], stdin=theirs.fileno())
theirs.close()
said = [[ours.recv(16).decode(), ""]]
for words in json.loads(sys.stdin.read()):
    output = os.memfd_create("said")
    socket.send_fds(ours, [b"\\0".join(map(os.fsencode, words))], [output])
    said.append([ours.recv(16).decode(), os.pread(output, 4096, 0).decode()])
ours.send(b"version")  # with nowhere to say anything
said.append([ours.recv(16).decode(), ""])
print(json.dumps([said, helper.wait(20)]))
"""


def test_one_that_serves_does_what_each_question_says_and_no_more(host: Host) -> None:
    """A question is taken as if a helper had been called with its words; it ends with its socket, or what is none."""
    stage_by_hand(host, "0001", "#!/bin/sh\nexec sleep 600\n")
    questions = [
        ["version"], ["version", "x"], ["", "x"], ["serve"], ["boot"], ["start", "ssh.service"],
        ["start", "0001\n"], ["-h"],
        ["run", "0001", "--", "id", "-un"], ["run", "0001", "--", "sh", "-c", "exit 7"],
        ["run", "0001", "--", "sh", "-c", "readlink /proc/self/fd/0; ls /proc/self/fd | wc -l"],
        ["journal", "all", "٣"], ["start", "0001"], ["stop", "0001"],
    ]  # fmt: skip
    argv = ["python3", "-c", SERVED, "sudo", "-n", HELPER, USER, "serve"]
    said, status = json.loads(host.run(*argv, user=DEPLOY, stdin=json.dumps(questions)).stdout)
    assert [row[0] for row in said] == ["1", "0", *"2222222", "0", "7", "0", "2", "0", "0", ""]
    assert (said[1][1], said[9][1], said[11][1]) == ("1\n", f"{USER}\n", "/dev/null\n4\n")
    assert all(text.startswith("tagship-helper: refused: ") for code, text in said if code == "2")
    assert status == 2
    assert host.run("systemctl", "is-active", "ssh").stdout == "active\n"
    assert ask(host, USER, "serve", stdin="version").returncode == 2


def test_units_are_started_stopped_and_read(host: Host) -> None:
    """`start` goes on after too many failures; the journal holds only what is this app's; `boot` starts the rest."""
    stage_by_hand(host, "0001", "#!/bin/sh\necho one runs\nexec sleep 600\n")
    stage_by_hand(host, "0002", "#!/bin/sh\necho two fails\nexit 3\n", current=False)
    put(host, f"{ROOT}/releases/0001-v1/units/worker/start", "#!/bin/sh\necho worker runs\nexec sleep 600\n", "0755")
    host.run("ln", "-s", "../0001-v1/units/worker", f"{ROOT}/releases/by-serial/0001.worker", user=DEPLOY)

    def active(*instances: str) -> list[str]:
        units = [f"{USER}@{instance}.service" for instance in instances]
        return host.run("systemctl", "is-active", *units, check=False).stdout.split()

    assert ask(host, USER, "start", "0001", "0001.worker").returncode == 0
    assert active("0001", "0001.worker") == ["active", "active"]
    ask(host, USER, "start", "0002")
    until(lambda: active("0002") == ["failed"], "it gives up after its restarts")
    assert ask(host, USER, "start", "0002").returncode == 0  # started again, though systemd has had enough of it
    assert "two fails" in ask(host, USER, "journal", "0002", "50").stdout
    assert "status=3" in ask(host, USER, "journal", "0002", "50").stdout
    mine = ask(host, USER, "journal", "all", "1000").stdout
    assert all(words in mine for words in ("one runs", "worker runs", "two fails"))
    assert "sshd" not in mine
    assert "two fails" not in ask(host, USER, "journal", "0001", "1000").stdout
    assert len(ask(host, USER, "journal", "0001", "1").stdout.splitlines()) == 1

    rows = [json.loads(line) for line in ask(host, USER, "journal", "0001.worker", "9", "rows").stdout.splitlines()]
    assert "worker runs" in [row["MESSAGE"] for row in rows]
    follow = subprocess.Popen(
        ["timeout", "60", *host.ssh("sudo", "-n", HELPER, USER, "journal", "all", "1", "follow", user=DEPLOY)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert follow.stdout is not None
    follow.stdout.readline()  # the last one so far: from now on it follows
    assert ask(host, USER, "stop", "0001.worker").returncode == 0
    assert ask(host, USER, "start", "0001.worker").returncode == 0
    assert "worker runs" in (json.loads(line)["MESSAGE"] for line in follow.stdout)  # reads until it comes
    follow.terminate()
    follow.wait()
    until(lambda: "journalctl" not in host.run("ps", "-eo", "comm").stdout.split(), "it ends with its reader")

    assert ask(host, USER, "stop", "0001", "0001.worker", "0002").returncode == 0
    assert active("0001", "0001.worker") == ["inactive"] * 2
    host.run("systemctl", "start", f"{USER}.service", user="root")
    assert active("0001", "0001.worker") == ["active"] * 2
    assert active("0002") != ["active"]


def alive(host: Host) -> set[str]:
    """Which of the sleeps of these tests are."""
    return {
        line for line in host.run("sh", "-c", "pgrep -a -x sleep | cut -d' ' -f3").stdout.split() if line != "600"
    }


def gone(host: Host, what: str) -> None:
    until(lambda: not alive(host), what)
    assert host.run("pgrep", "-c", "-u", USER, check=False).stdout == "0\n"
