"""Logs, commands and the environment of what is live, as a user types them, on the embedded stage."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from verbs.project import PATIENCE, Project, Ran, Told, eventually, told

SECRET = "s3cr3t/sentinel+value ="


def fed(project: Project, text: str | bytes, *argv: str) -> Ran:
    """A verb that reads `text` from its stdin."""
    data = text.encode() if isinstance(text, str) else text
    done = subprocess.run(
        argv, cwd=project.folder, env=project.env, input=data, capture_output=True, timeout=PATIENCE, check=False
    )
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


def ran(project: Project, *command: str) -> Told:
    """What `fab run --json` tells of a command."""
    done = project.run("fab", "run", "--json", "--", *command)
    assert done.err == ""
    return told(done.exit, done.out)


@contextmanager
def reading(project: Project, *argv: str) -> Iterator[subprocess.Popen[str]]:
    """A verb that goes on until Ctrl-C; it never outlives its test."""
    process = subprocess.Popen(
        argv,
        cwd=project.folder,
        env=project.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


# --- run


def test_a_command_runs_in_the_environment_of_what_is_live(live: Project) -> None:
    """Its words arrive as typed, its output is ours alone, and its stderr stays stderr."""
    done = live.run(
        "fab", "run", "--", "python", "-c", "import sys; print(sys.argv); print('no', file=sys.stderr)", "a b"
    )
    assert (done.exit, done.out, done.err) == (0, "['-c', 'a b']\n", "no\n")
    where = live.run("fab", "run", "--", "sh", "-c", "pwd; echo $TAGSHIP_RELEASE; command -v python")
    release = live.root / "releases" / str(live.current)
    assert where.out.splitlines() == [str(release / "app"), live.current, str(release / "venv/bin/python")]


def test_a_command_that_fails_fails_the_verb(live: Project) -> None:
    """Exit 4, an outcome of its own, and the command's own status where a program looks for it."""
    done = ran(live, "sh", "-c", "echo one; exit 3")
    assert (done.exit, done.result["outcome"]) == (4, "failed")
    assert [(event["host"], event["stream"], event["text"]) for event in done.of("line")] == [("local", "out", "one")]
    assert [(event["host"], event["status"]) for event in done.of("ended")] == [("local", 3)]
    missing = live.run("fab", "run", "--", "no-such-program")
    assert (missing.exit, missing.out) == (4, "")
    assert "no-such-program" in missing.err


def test_a_command_reads_our_stdin(live: Project) -> None:
    """More than any pipe holds goes there and comes back, and its end ends the command."""
    lines = "".join(f"line {number} {'x' * 60}\n" for number in range(20_000))
    done = fed(live, lines, "fab", "run", "--", "cat")
    assert (done.exit, done.err) == (0, "")
    assert done.out == lines


def test_a_run_needs_a_command_and_no_host_flag(live: Project) -> None:
    """Fabric's own way to run words after `--` is not ours: each mistake is one clear line."""
    nothing = live.run("fab", "run")
    assert (nothing.exit, "no command was given" in nothing.err) == (2, True)
    flagged = live.run("fab", "-H", "web1", "run", "--", "true")
    assert (flagged.exit, "-H" in flagged.err) == (2, True)
    limited = live.run("fab", "run", "--stage", "local", "--limit", "web9", "--", "true")
    assert (limited.exit, "web9" in limited.err) == (2, True)
    role = live.run("fab", "run", "--role", "worker", "--", "true")
    assert (role.exit, "worker" in role.err) == (2, True)
    dry = live.run("fab", "--dry", "run", "--", "touch", str(live.folder / "touched"))
    assert dry.exit == 0
    assert not (live.folder / "touched").exists()


def test_ctrl_c_ends_the_command(live: Project, tmp_path: Path) -> None:
    """The verb ends with 130, and what it ran is gone, with what that had started itself."""
    pid = tmp_path / "pid"
    script = f"sleep 600 & echo $! $$ > {pid}.new; mv {pid}.new {pid}; wait"
    with reading(live, "fab", "run", "--", "sh", "-c", script) as verb:
        eventually(lambda: pid.exists() or verb.poll() is not None, "the command never began")
        verb.send_signal(signal.SIGINT)
        _, said = verb.communicate(timeout=PATIENCE)
    assert verb.returncode == 130, said
    for number in pid.read_text().split():
        eventually(lambda number=number: not alive(number), "it lives on")


# --- logs


def test_the_log_of_what_is_live(live: Project) -> None:
    """The last lines, as they were written, each behind its host and serial; no secret and no half line."""
    unit = f"local {serial(live)}"
    with log_of(live).open("ab") as file:
        file.write(b"first\nsecond \xff\n" + b"x" * 200_000 + b"\nthird\nwithout its end")
    done = live.run("fab", "logs", "--lines", "3")
    with log_of(live).open("a") as file:
        file.write("\n")
    assert done.exit == 0, done.said
    lines = done.out.splitlines()
    assert lines[-2:] == [f"{unit} | third", f"{unit} | without its end"]
    assert {line.strip("x") for line in lines[:-2]} == {f"{unit} | "}
    assert sum(line.count("x") for line in lines[:-2]) == 200_000
    whole = live.told("fab", "logs", "--release", str(live.current))
    said = [event["text"] for event in whole.of("line")]
    assert said.index("first") == said.index("second \N{REPLACEMENT CHARACTER}") - 1
    assert {(event["host"], event["unit"], event["at"]) for event in whole.of("line")} == {
        ("local", serial(live), None)
    }
    limited = live.told("fab", "logs", "--stage", "local", "--limit", "web9")
    assert limited.exit == 2
    unknown = live.run("fab", "logs", "--release", "0099-v9")
    assert (unknown.exit, "0099-v9" in unknown.err) == (3, True)


def test_following_goes_on_across_a_flip(live: Project) -> None:
    """What the next release says comes too, in whole lines; Ctrl-C is how it ends, so that is exit 0."""
    before = serial(live)
    with log_of(live).open("a", buffering=1) as log:
        log.write("ready\n")
        with reading(live, "fab", "logs", "--follow", "--lines", "1") as verb:
            assert verb.stdout
            assert verb.stdout.readline() == f"local {before} | ready\n"
            os.write(log.fileno(), b"before the fl")
            os.write(log.fileno(), b"ip\n")
            assert verb.stdout.readline() == f"local {before} | before the flip\n"
            live.tag_next({"version.txt": "two"})
            assert live.run("fab", "deploy").exit == 0
            with log_of(live).open("a") as new:
                new.write("after it\n")
            after = f"local {serial(live)} | after it\n"
            assert after in iter(verb.stdout.readline, ""), "it ended"
            verb.send_signal(signal.SIGINT)
            _, said = verb.communicate(timeout=PATIENCE)
    assert (verb.returncode, said) == (0, "")
    assert serial(live) != before


def serial(project: Project) -> str:
    """Of what is live."""
    return str(project.current).partition("-")[0]


def log_of(project: Project) -> Path:
    """Where what is live writes to."""
    return project.root / "state" / "log" / f"{serial(project)}.log"


def alive(pid: str) -> bool:
    """Whether a process does anything yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
