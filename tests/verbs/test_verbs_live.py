"""Logs, commands and the environment of what is live, as a user types them, on the embedded stage."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from verbs.project import PATIENCE, Project, Ran, Told, eventually, sha256, told

FOLLOW = ("fab", "logs", "--follow", "--lines", "1")
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
        with reading(live, *FOLLOW) as verb:
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


# --- the environment

HASH = "import os, hashlib; print(hashlib.sha256(os.environ.get('TOKEN', '').encode()).hexdigest())"


def test_a_value_goes_live_with_the_next_deploy_and_back_with_a_rollback(project: Project) -> None:
    """Each release keeps the environment that it was staged with; no output, log or journal ever shows a value."""
    said = [project.run("fab", "deploy").said]
    first = fed(project, f"{SECRET}\n", "fab", "env", "set", "TOKEN")
    assert first.exit == 0, first.said
    assert "fab deploy" in first.out
    assert token(project) == sha256(b""), "it is live already"
    same = project.told("fab", "deploy")
    assert (same.exit, same.result["release"]) == (0, "0002-v1.0.0"), "the same tag, another environment"
    assert token(project) == sha256(SECRET.encode())
    assert project.told("fab", "deploy").result["outcome"] == "unchanged"
    second = fed(project, '\'quoted\', "twice" $HOME \\ \N{SNOWMAN}"', "fab", "env", "set", "TOKEN")
    said += [first.said, second.said, project.run("fab", "deploy").said]
    assert token(project) == sha256('\'quoted\', "twice" $HOME \\ \N{SNOWMAN}"'.encode())
    listed = project.told("fab", "env", "--stage", "local")
    assert [(row["version"], row["releases"], row["names"]) for row in listed.of("row")] == [
        ("0001", "0002-v1.0.0", "TOKEN"),
        ("0002", "0003-v1.0.0 (current)", "TOKEN"),
    ]
    assert project.run("fab", "rollback").exit == 0
    assert token(project) == sha256(SECRET.encode())
    said += [project.run("fab", "env").said, project.run("fab", "run", "--", "printenv", "TOKEN").said]
    said += [project.run("fab", "logs").said, project.run("fab", "history").said, json.dumps(listed.events)]
    assert said[-4].splitlines() == ["\N{BULLET}\N{BULLET}\N{BULLET}"]
    assert not [text for text in said if SECRET in text]
    real = [path for path in project.root.rglob("*") if path.is_file() and not path.is_symlink()]
    holders = [path for path in real if SECRET.encode() in path.read_bytes()]
    assert holders == [project.root / "env" / "0001"]
    assert [path.stat().st_mode & 0o777 for path in (holders[0], holders[0].parent)] == [0o600, 0o700]


def test_a_variable_is_taken_away_again(live: Project) -> None:
    """The newest version is what counts; versions that no release uses go with the next deploy."""
    for value in ("one", "two"):
        assert fed(live, value, "fab", "env", "set", "COLOUR").exit == 0
    again = fed(live, "two", "fab", "env", "set", "COLOUR")
    assert (again.exit, "nothing to do" in again.out) == (0, True)
    taken = live.told("fab", "env", "unset", "COLOUR")
    assert (taken.exit, taken.result["outcome"]) == (0, "changed")
    assert live.run("fab", "deploy").exit == 0
    assert [path.name for path in (live.root / "env").iterdir()] == ["0003"]
    assert live.run("fab", "env", "unset", "COLOUR").exit == 2
    copied = live.told("fab", "env", "copy")
    assert (copied.exit, copied.result["outcome"]) == (0, "unchanged")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("TOKEN", b"sentinel one\nsentinel two\n", "more than one line"),
        ("TOKEN", b"sentinel\0", "NUL"),
        ("TOKEN", b"sentinel \xff", "not UTF-8"),
        ("TOKEN", b"sentinel" * 20_000, "160,000 bytes"),
        ("TOKEN", b"", "no value"),
        ("1TOKEN", b"sentinel", "can't be the name"),
        ("TOKEN=sentinel", b"", "no place on the command line"),
        ("TAGSHIP_SOCKET", b"sentinel", "sets TAGSHIP_SOCKET itself"),
        ("PYTHONUNBUFFERED", b"sentinel", "itself"),
        ("PATH", b"sentinel", "sets PATH itself"),
    ],
)
def test_what_an_env_file_cannot_hold_is_refused(live: Project, name: str, value: bytes, words: str) -> None:
    """Exit 2, the reason and the cure, never the value, and nothing is changed."""
    before = live.snapshot()
    done = fed(live, value, "fab", "env", "set", name)
    assert (done.exit, words in done.err) == (2, True), done.said
    assert "sentinel" not in done.said
    assert live.snapshot() == before


def test_on_a_terminal_the_value_is_asked_for_and_not_shown(live: Project) -> None:
    """What is typed at the prompt becomes the value; the terminal never shows it."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(live.folder)
        os.execvpe("fab", ["fab", "env", "set", "TYPED"], live.env)
    shown = b""
    while b"TYPED on local:" not in shown:
        shown += os.read(terminal, 4096)
    os.write(terminal, b"typed sentinel\n")
    try:
        while piece := os.read(terminal, 4096):
            shown += piece
    except OSError:
        pass  # how a terminal says that the other side is gone
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, shown
    assert b"sentinel" not in shown
    newest = max((live.root / "env").iterdir())
    assert 'TYPED="typed sentinel"\n' in newest.read_text()


def test_the_environment_is_of_the_whole_stage(live: Project) -> None:
    """A part of the hosts can't have a newer one; and what can't be planned is said."""
    part = live.run("fab", "env", "set", "NAME", "--limit", "web9")
    assert (part.exit, "web9" in part.err) == (2, True), part.said
    nowhere = live.run("fab", "env", "set", "NAME", "--stage", "nowhere")
    assert (nowhere.exit, "nowhere" in nowhere.err) == (2, True), nowhere.said
    dry = live.run("fab", "--dry", "env", "unset", "NAME")
    assert (dry.exit, "--dry" in dry.err) == (2, True), dry.said


def test_the_doctor_says_what_is_wrong_and_what_to_do(project: Project) -> None:
    """Before the first deploy all is well; an interpreter that goes away is found before a rollback needs it."""
    well = project.told("fab", "doctor", "--stage", "local")
    assert well.exit == 0, well.events
    assert {one["level"] for one in well.of("finding")} == {"ok"}
    assert project.run("fab", "doctor", "--limit", "web9").exit == 2
    assert project.run("fab", "deploy").exit == 0
    python = project.root / "releases" / str(project.current) / "venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python3")
    ill = project.run("fab", "doctor")
    assert ill.exit == 3
    assert "bad   virtualenvs: the virtualenv of 0001-v1.0.0 is broken (/nowhere/python3)" in ill.out
    assert "      cure: make a new tag" in ill.out


def token(project: Project) -> str:
    """The digest of a variable in the environment of what is live, which no mask changes."""
    return project.run("fab", "run", "--", "python", "-c", HASH).out.strip()


def alive(pid: str) -> bool:
    """Whether a process does anything yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
