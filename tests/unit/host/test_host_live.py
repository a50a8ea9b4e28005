"""The agent's verbs beside what is live: logs, a command and its streams, versions of the environment."""

from __future__ import annotations

import base64
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from unit.host.client import Agent, AgentError, Host, blog, go_live, until

from tagship.host import boot, envs, files, frames
from tagship.host.layout import Layout


@pytest.fixture
def live(host: Host) -> Host:
    """A host on which 0001-v1 is current; its agents know these verbs."""
    host.more = (boot.FRONT, boot.LIVE)
    agent = host.locked()
    go_live(agent, blog(1), None)
    agent.ask("unlock")
    agent.hang_up()
    return host


def opened(host: Host) -> Agent:
    agent = host.connect()
    host.survey(agent)
    return agent


def put(agent: Agent, version: int, values: Any) -> dict[str, Any]:
    agent.begin("envput", version=version)
    agent.write(frames.pack_data(json.dumps(values).encode()) + frames.pack_data(b""))
    return agent.answer()


# --- the environment


def test_a_version_goes_with_a_client_that_dies(live: Host) -> None:
    """Until the lock is given back in peace, not every host may have it; afterwards it stays."""
    agent = live.locked()
    put(agent, 1, {"TOKEN": "one"})
    assert live.path("env", "0001").exists()
    agent.process.stdin.close()
    until(lambda: not live.path("env", "0001").exists())
    agent = live.locked()
    put(agent, 1, {"TOKEN": "one"})
    agent.ask("unlock")
    agent.hang_up()
    assert opened(live).ask("env")["versions"] == [{"version": 1, "names": ["TOKEN"]}]


def test_a_version_is_whole_and_comes_back_as_it_was(live: Host) -> None:
    """Whatever a line can hold is read back by the script's own rules; a version that is there is never changed."""
    agent = live.locked()
    values = {"A": "", "B": '"', "C": "'x'", "D": " a\tb \\ $HOME `id` ", "E": "\N{SNOWMAN}=#"}
    put(agent, 3, values)
    assert agent.ask("envget", version=3)["values"] == values
    with pytest.raises(AgentError, match="0003 already"):
        put(agent, 3, {"A": "other"})
    with pytest.raises(AgentError, match="no version 0002"):
        agent.ask("envget", version=2)
    agent.ask("envdrop", version=2)
    agent.ask("envdrop", version=3)
    agent.ask("envdrop", version=3)
    assert agent.ask("env")["versions"] == []


@pytest.mark.parametrize("values", [{"A": "x\ny"}, {"A": "x\0"}, {"A B": "x"}, {"A": 1}, {"A=B": "x"}, ["A"], "A"])
def test_what_is_no_line_is_refused(live: Host, values: Any) -> None:
    """Our own client never sends it; nothing is written, and no error shows a value."""
    with pytest.raises(AgentError) as caught:
        put(live.locked(), 1, values)
    assert caught.value.kind == "usage"
    assert "x" not in caught.value.what.replace("expected", "")
    assert not live.path("env", "0001").exists()


# --- a command


def talk(agent: Agent, **args: Any) -> dict[str, Any]:
    return agent.ask("talk", **{"input": None, "eof": True, "wait": 5, **args})


def heard(agent: Agent) -> tuple[list[list[str]], int]:
    """All that a command says, and its status."""
    lines: list[list[str]] = []
    while True:
        answer = talk(agent)
        lines += answer["lines"]
        if answer["status"] is not None:
            return lines, answer["status"]


def test_a_command_is_told_in_whole_lines(live: Host) -> None:
    """Whatever its pieces, and whatever it leaves running that holds its output."""
    agent = opened(live)
    script = "printf one; sleep 0.2; printf ' line\\nno end'; printf 'oops\\n' >&2; sleep 600 & exit 7"
    agent.ask("run", argv=["sh", "-c", script])
    lines, status = heard(agent)
    assert (sorted(lines), status) == ([["err", "oops"], ["out", "no end"], ["out", "one line"]], 7)
    with pytest.raises(AgentError, match="nothing runs"):
        talk(agent)
    agent.ask("run", argv=["true"])
    assert heard(agent) == ([], 0)


def test_nothing_piles_up_between_a_command_and_a_slow_reader(live: Host) -> None:
    """One that says a lot waits for who listens; and input is taken only as fast as it is read."""
    agent = opened(live)
    agent.ask("run", argv=["sh", "-c", "sleep 0.3; cat >/dev/null; yes"])
    data = base64.b64encode(b"x" * 300_000).decode()
    taken = talk(agent, input=data, eof=False, wait=0)["taken"]
    assert taken < 300_000
    size = memory(agent)
    answer = talk(agent, eof=True)
    while not answer["lines"]:
        answer = talk(agent)
    for _ in range(8):
        assert len(json.dumps(talk(agent)["lines"])) < 5_000_000
        time.sleep(0.01)
    assert memory(agent) - size < 30_000


def memory(agent: Agent) -> int:
    """What an agent holds, in KB."""
    text = Path(f"/proc/{agent.hello['pid']}/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS"))


def test_a_command_goes_with_its_client(live: Host) -> None:
    """SIGTERM first, and all of its family; one that closed its streams too."""
    agent = opened(live)
    mark = live.path("mark")
    script = f"trap 'touch {mark}; exit' TERM; exec >/dev/null 2>&1; sleep 600 & echo $! >{mark}.pid; wait"
    agent.ask("run", argv=["sh", "-c", script])
    until(lambda: Path(f"{mark}.pid").exists() and Path(f"{mark}.pid").read_text().strip())
    agent.hang_up()
    assert mark.exists()
    pid = int(Path(f"{mark}.pid").read_text())
    until(lambda: not Path(f"/proc/{pid}").exists() or ") Z " in Path(f"/proc/{pid}/stat").read_text())


def test_where_nothing_is_current_nothing_is_run_or_told(host: Host) -> None:
    """There is no environment to run in, and no log."""
    host.more = (boot.FRONT, boot.LIVE)
    agent = opened(host)
    for verb, args in (("run", {"argv": ["true"]}), ("logs", {"release": None, "lines": 1, "wait": 0})):
        with pytest.raises(AgentError) as caught:
            agent.ask(verb, **args)
        assert (caught.value.kind, caught.value.cure) == ("refused", "fab deploy")


# --- logs


@pytest.mark.parametrize("lines", [0, 1, 2, 3, 4, 1000])
def test_the_last_lines_of_a_log_however_long(live: Host, lines: int) -> None:
    """Looked for from its end, across blocks of any content; empty lines count, the end of a line is no line."""
    log = live.path("state", "log", "0001.log")
    written = [b"", b"y" * 150_000, b"", b"last"]
    log.unlink()  # what runs goes on writing to it, and no more to what we look at
    log.write_bytes(b"\n".join(written) + b"\n")
    agent = opened(live)
    found: list[str] = []
    more = True
    while more:
        answer = agent.ask("logs", release=None, lines=lines, wait=0, follow=False)
        found += [text for _, _, text in answer["lines"]]
        more = answer["more"]
    assert "".join(found) == b"".join(written[len(written) - min(lines, 4) :]).decode()
    assert found[-1:] == (["last"] if lines else [])


def test_a_log_that_is_cut_or_pruned_goes_on(live: Host) -> None:
    """copytruncate begins anew; a file that is gone is no error, and one that appears is heard from its beginning."""
    log = live.path("state", "log", "0001.log")
    log.unlink()
    log.write_text("old\n")
    agent = opened(live)

    def next_line() -> list[Any]:
        return agent.ask("logs", release=None, lines=0, wait=10, follow=True)["lines"]

    assert agent.ask("logs", release=None, lines=0, wait=0, follow=True)["lines"] == []
    log.write_text("n\n")
    assert next_line() == [[None, "0001", "n"]]
    log.unlink()
    live.path("state", "log", "0002.unit-worker.log").write_text("begun\n")
    live.path("state", "log", "0002.stage.log").write_text("of no service\n")
    assert next_line() == [[None, "0002.worker", "begun"]]


def test_secrets_are_known_while_versions_come_and_go(tmp_path: Path) -> None:
    """Who follows the logs asks for them at each page, without the lock under which a deploy prunes."""
    layout = Layout(str(tmp_path))
    (tmp_path / "env").mkdir()

    def deploy() -> None:
        for number in range(1, 8000, 40):
            for version in range(number, number + 40):
                files.place(envs.path(layout, version), b"TOKEN=goes\n", 0o600)
            envs.prune(layout)

    deploys = threading.Thread(target=deploy)
    deploys.start()
    try:
        while deploys.is_alive():
            envs.secrets(layout, None)
    finally:
        deploys.join()
    assert set(envs.secrets(layout, None).values()) == {"goes"}
