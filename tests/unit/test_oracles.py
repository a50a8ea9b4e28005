"""The oracles of the matrix of faults: they share nothing with what they judge, and each sees what is wrong."""

from __future__ import annotations

import ast
import fcntl
import hashlib
import http.server
import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from crash import oracles, seen
from crash.matrix import Violated
from crash.oracles import Standing, Visitors

CRASH = Path(oracles.__file__).parent
OLD, NEW = "0001-v1", "0002-v2"


def test_the_oracles_share_no_code_with_tagship() -> None:
    """They, and all of the harness that they import, know it only from outside: files, processes, answers."""
    waiting, known = [CRASH / "oracles.py", CRASH / "seen.py"], set()
    while waiting:
        path = waiting.pop()
        known.add(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                top, _, rest = name.partition(".")
                assert top == "crash" or top in sys.stdlib_module_names, f"{path.name} imports {name}"
                if top == "crash":
                    module = CRASH / f"{rest}.py"
                    assert module.is_file(), f"{path.name} imports all of crash"
                    waiting += {module} - known


# --- a host on this disk, as docs/agent.md describes one


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Standing]:
    """Two good releases, the first of which is current and answers."""
    root = tmp_path / "root"
    for folder in ("state", "objects", "releases"):
        (root / folder).mkdir(parents=True)
    for name in (OLD, NEW):
        stage(root, name)
        journal(root, "good", name)
    (root / "state" / "lock").touch()
    (root / "current").symlink_to(f"releases/{OLD}")
    with answering(b"v1\n") as url:
        yield Standing("web1", root, url, "/version")


def stage(root: Path, name: str) -> None:
    release = root / "releases" / name
    (release / "app").mkdir(parents=True)
    text = name.partition("-")[2].encode() + b"\n"
    (release / "app" / "version.txt").write_bytes(text)
    (release / "app" / "version.txt").chmod(0o444)
    (release / "app" / "link").symlink_to("version.txt")
    rows: list[list[Any]] = [
        ["app/version.txt", "f", hashlib.sha256(text).hexdigest(), len(text)],
        ["app/link", "l", "version.txt"],
    ]
    (release / "manifest.json").write_text(json.dumps({"rows": rows}))
    (release / "release.json").write_text(json.dumps({"id": name}))
    (release / "start").write_text("exec true\n")


def journal(root: Path, event: str, release: str, **more: Any) -> None:
    with (root / "state" / "journal.jsonl").open("a") as file:
        file.write(json.dumps({"event": event, "release": release, **more}) + "\n")


@contextmanager
def answering(text: bytes, status: int = 200) -> Iterator[str]:
    """Somebody who answers every request so; gives where."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_words: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def in_release(name: str, content: str | None) -> Callable[[Path], None]:
    """Replace a file of the current release, or remove it."""

    def spoil(root: Path) -> None:
        path = root / "releases" / OLD / name
        path.unlink()
        if content is not None:
            path.write_text(content)

    return spoil


def link(target: str | None) -> Callable[[Path], None]:
    def spoil(root: Path) -> None:
        (root / "current").unlink()
        if target is not None:
            (root / "current").symlink_to(target)

    return spoil


def test_a_host_as_it_should_be_has_nothing_against_it(host: Standing) -> None:
    """None of the oracles cries wolf."""
    assert oracles.o1_old_or_new(host, [OLD, NEW]) == OLD
    assert oracles.o1_old_or_new(host, ["v1"]) == OLD
    assert oracles.o2_answers(host) == OLD
    oracles.o3_nothing_stray(host)
    oracles.o3_processes(host, {1: OLD})
    assert oracles.eof_rules(host, OLD, {OLD, NEW}, {1: OLD}) is False
    assert oracles.good_before(host, NEW) == OLD
    with Visitors(host) as visitors:
        while not visitors.asked:
            pass
    visitors.o6_none_failed()
    assert visitors.seen == {"v1"}


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (link("elsewhere"), "`current` names elsewhere"),
        (link("../releases/" + OLD), "`current` names"),
        (link(None), "`current` names None"),
        (lambda root: (link(None)(root), (root / "current").mkdir()), "is no link"),
        (link("releases/0003-v3"), "not one of"),
        (in_release("app/version.txt", "v2\n"), "mode"),
        (in_release("app/version.txt", None), "No such file"),
        (in_release("app/link", "a file"), "not the link that it was"),
        (in_release("start", ""), "start is empty"),
        (in_release("release.json", ""), "no whole record"),
        (in_release("release.json", '{"id": "0002-v2"}'), "is of 0002-v2"),
        (in_release("manifest.json", '{"rows": ['), "no whole record"),
    ],
)
def test_o1_sees_a_current_that_is_not_whole(host: Standing, spoil: Callable[[Path], Any], says: str) -> None:
    """A link that leads elsewhere; a file that is missing, empty, another or of another mode."""
    spoil(host.root)
    with pytest.raises(Violated, match="O1 web1") as violated:
        oracles.o1_old_or_new(host, [OLD, NEW])
    assert says in str(violated.value)


def test_o1_sees_one_changed_byte(host: Standing) -> None:
    """Size and mode are what they were."""
    path = host.root / "releases" / OLD / "app" / "version.txt"
    path.chmod(0o644)
    path.write_text("v7\n")
    path.chmod(0o444)
    with pytest.raises(Violated, match="other content, 3 bytes of 3"):
        oracles.o1_old_or_new(host, [OLD])


@pytest.mark.parametrize(("text", "status"), [(b"v2\n", 200), (b"v1\n", 500), (b"", 200)])
def test_o2_sees_an_answer_of_another_release(host: Standing, text: bytes, status: int) -> None:
    """What answers must be what is current, and well."""
    with answering(text, status) as url, pytest.raises(Violated, match="O2 web1"):
        oracles.o2_answers(Standing(host.name, host.root, url, host.path))


def test_o2_sees_that_nobody_answers(host: Standing) -> None:
    """A refused connection is a violation, and no error of the harness."""
    with pytest.raises(Violated, match="O2 web1: 0001-v1 is current, and the answer is"):
        oracles.o2_answers(Standing(host.name, host.root, "http://127.0.0.1:1", "/"))


@pytest.mark.parametrize(
    "stray", ["current.new", "releases/.tmp-0003", "objects/abc.part", "state/owner.json.new", "releases/0003-v3"]
)
def test_o3_sees_what_was_left_behind(host: Standing, stray: str) -> None:
    """A half-made link, object or note, and a release that nobody finished."""
    (host.root / stray).mkdir()
    with pytest.raises(Violated, match=f"left behind: {stray}"):
        oracles.o3_nothing_stray(host)


def test_o3_sees_a_lock_that_is_held(host: Standing) -> None:
    """By the kernel's word; and `seen` names who holds it."""
    with (host.root / "state" / "lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert seen.holder(host.root) == os.getpid()
        with pytest.raises(Violated, match="the lock is held"):
            oracles.o3_nothing_stray(host)
    assert seen.holder(host.root) is None


def test_o3_sees_a_process_of_another_release(host: Standing) -> None:
    """Only what is current may run."""
    with pytest.raises(Violated, match=r"these run: \{7: '0002-v2'\}"):
        oracles.o3_processes(host, {6: OLD, 7: NEW})


@pytest.mark.parametrize(
    ("known", "running", "says"),
    [
        ({OLD}, {1: OLD}, "these were left: ['0002-v2']"),
        ({OLD, NEW}, {1: OLD, 2: NEW}, "unflipped"),
    ],
)
def test_the_eof_rules_of_an_unflipped_host(
    host: Standing, known: set[str], running: dict[int, str], says: str
) -> None:
    """Its staging is removed, and what was started is stopped."""
    with pytest.raises(Violated) as violated:
        oracles.eof_rules(host, OLD, known, running)
    assert says in str(violated.value)


@pytest.mark.parametrize("running", [{1: NEW}, {}, {1: OLD, 2: "0003-v3"}])
def test_the_eof_rules_of_a_flipped_host(host: Standing, running: dict[int, str]) -> None:
    """What is current now must run, and beside it only what was current."""
    assert oracles.eof_rules(host, NEW, {OLD, NEW}, {1: NEW, 2: OLD}) is True
    with pytest.raises(Violated, match="flipped from 0002-v2 to 0001-v1"):
        oracles.eof_rules(host, NEW, {OLD, NEW}, running)


def result(status: int, release: str, *, ok: bool = True) -> dict[str, Any]:
    return {"exit": status, "hosts": [{"host": "web1", "release": release, "ok": ok}]}


@pytest.mark.parametrize(
    ("status", "told", "says"),
    [
        (0, result(0, OLD), "exit 0 for v2"),
        (1, result(1, OLD), "is none that a fault may end with"),
        (-9, None, "is none that a fault may end with"),
        (4, None, "without a result"),
        (4, result(5, OLD), "the result says 5"),
        (4, result(4, NEW), "the result says"),
    ],
)
def test_o5_sees_what_is_not_true(host: Standing, status: int, told: dict[str, Any] | None, says: str) -> None:
    """An exit code or a result that promises what isn't so."""
    with pytest.raises(Violated, match="O5") as violated:
        oracles.o5_told([host], status, told, old={"web1": OLD}, new="v2")
    assert says in str(violated.value)


@pytest.mark.parametrize("status", [3, 4, 6, 130])
def test_o5_sees_that_nothing_was_put_back(host: Standing, status: int) -> None:
    """These codes say that all stands as before."""
    oracles.o5_told([host], status, result(status, OLD), old={"web1": OLD}, new="v2")
    with pytest.raises(Violated, match="promises that all was put back"):
        oracles.o5_told([host], status, result(status, OLD), old={"web1": NEW}, new="v2")


def test_o6_sees_one_request_that_failed(host: Standing) -> None:
    """A 500 counts as much as a refused connection; and no request at all proves nothing."""
    with answering(b"", 500) as url, Visitors(Standing("web1", host.root, url)) as visitors:
        while not visitors.asked:
            pass
    with pytest.raises(Violated, match="O6 web1"):
        visitors.o6_none_failed()
    with pytest.raises(Violated, match="0 of 0 failed"):
        Visitors(host).o6_none_failed()


def test_o6_sees_an_answer_that_was_cut_short(host: Standing) -> None:
    """Half an answer is none, a visitor who met one goes on, and it is no answer to O2 either."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def cut_short() -> None:
            while True:
                connection, _ = server.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")

        threading.Thread(target=cut_short, daemon=True).start()
        half = Standing("web1", host.root, f"http://127.0.0.1:{server.getsockname()[1]}")
        with Visitors(half) as visitors:
            while visitors.asked < 3:
                pass
        with pytest.raises(Violated, match="O2 web1"):
            oracles.o2_answers(half)
    assert len(visitors.failed) == visitors.asked


def test_where_a_rollback_leads_is_read_off_the_journal(host: Standing) -> None:
    """The newest good one before; one that was left, or is gone, isn't good; a torn line is passed over."""
    stage(host.root, "0003-v3")
    with (host.root / "state" / "journal.jsonl").open("a") as file:
        file.write('{"event": "good", "rel\n')
    journal(host.root, "good", "0003-v3")
    assert oracles.good_before(host, "0003-v3") == NEW
    journal(host.root, "left", NEW)
    assert oracles.good_before(host, "0003-v3") == OLD
    journal(host.root, "removed", OLD)
    assert oracles.good_before(host, "0003-v3") is None


def test_a_rollback_that_was_cut_off_is_finished_by_the_next(host: Standing) -> None:
    """Once it has flipped, and until what it led to is marked; a deploy's flip is nothing to finish."""
    journal(host.root, "begun", OLD, verb="rollback", change=7)
    assert oracles.goes_back(host) is None
    journal(host.root, "flipped", OLD, change=6)
    assert oracles.goes_back(host) is None
    journal(host.root, "begun", OLD, verb="rollback", change=8)
    journal(host.root, "flipped", OLD, change=8)
    assert oracles.goes_back(host) == OLD
    journal(host.root, "good", OLD, change=8)
    assert oracles.goes_back(host) is None
