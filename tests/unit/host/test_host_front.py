"""The front door: one request a connection, to whatever is current, whole and in both directions."""

from __future__ import annotations

import hashlib
import socket
import tempfile
import threading
import time
from collections.abc import Callable

import pytest
from unit.host.client import PROBE, Agent, AgentError, Host, Release, blog, go_live, stage_until, until

from tagship.host import drain


def connect(listen: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    return socket.create_connection((host, int(port)), 30)


def exchange(listen: str, request: bytes, body: bytes = b"") -> tuple[bytes, bytes]:
    """Send a request, read to the end; gives the answer's head and body."""
    with connect(listen) as client:
        client.sendall(request)
        if body:
            client.sendall(body)
        return split(read_all(client))


def read_all(client: socket.socket) -> bytes:
    pieces = []
    while piece := client.recv(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)


def split(answer: bytes) -> tuple[bytes, bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


def ask(path: str, *headers: str, method: str = "GET", version: str = "1.1") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: localhost", *headers, "", ""]).encode()


@pytest.fixture
def live(host: Host, listen: str) -> Agent:
    """A host with release 1 behind its front door."""
    agent = host.locked()
    go_live(agent, blog(1), None, listen)
    return agent


def test_only_three_headers_are_added(live: Agent, listen: str) -> None:
    """X-Forwarded-For and -Proto to the request, Tagship-Release to the answer; each connection ends with it."""
    head, body = exchange(listen, ask("/headers", "X-Own: a  b", "Connection: keep-alive, X", "Cookie: k=v"))
    assert body.decode().splitlines() == [
        "Host: localhost",
        "X-Own: a  b",
        "Cookie: k=v",
        "X-Forwarded-For: 127.0.0.1",
        "X-Forwarded-Proto: http",
        "Connection: close",
    ]
    names = [line.partition(b":")[0] for line in head.split(b"\r\n")[1:]]
    assert names == [b"Server", b"Date", b"Content-Length", b"Connection", b"Tagship-Release"]
    proxied = exchange(listen, ask("/headers", "X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https"))[1].decode()
    assert "X-Forwarded-For: 192.0.2.7, 127.0.0.1\n" in proxied
    assert "X-Forwarded-Proto: https\n" in proxied


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_answers_without_a_body_and_of_unknown_length_end_where_they_should(
    live: Agent, listen: str, version: str
) -> None:
    """HEAD has a length and no body; without a length the connection's end is the body's."""
    head, body = exchange(listen, ask("/text", method="HEAD", version=version))
    assert b"Content-Length: 9" in head
    assert body == b""
    assert exchange(listen, ask("/stream", version=version))[1] == b"piece piece piece "


def test_informational_answers_pass_before_the_final_one(live: Agent, listen: str) -> None:
    """103 Early Hints, then the answer; the release is named on the last."""
    answer, body = exchange(listen, ask("/early"))
    assert answer == b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload"
    head, body = split(body)
    assert b"HTTP/1.1 200 OK" in head
    assert b"Tagship-Release: 0001-v1" in head
    assert body == b"late"


def test_an_upgraded_connection_is_passed_on_untouched(live: Agent, listen: str) -> None:
    """After 101 it is bytes both ways, until either side ends."""
    with connect(listen) as client:
        client.sendall(ask("/upgrade", "Connection: Upgrade", "Upgrade: echo"))
        file = client.makefile("rwb")
        assert file.readline() == b"HTTP/1.1 101 Switching Protocols\r\n"
        while file.readline() != b"\r\n":
            pass
        for word in (b"one\n", b"two\n"):
            file.write(word)
            file.flush()
            assert file.readline() == word.upper()
        client.shutdown(socket.SHUT_WR)
        assert file.read() == b""


def test_large_bodies_pass_whole_both_ways(live: Agent, listen: str) -> None:
    """20 MB up, and 16 MB down to a client that reads slowly."""
    body = b"0123456789" * (2 << 20)
    request = ask("/upload", f"Content-Length: {len(body)}", method="POST")
    assert exchange(listen, request, body)[1].decode() == hashlib.sha256(body).hexdigest()
    with connect(listen) as client:
        client.sendall(ask("/big"))
        got = b""
        while piece := client.recv(1 << 18):
            got += piece
            time.sleep(0.001)
    assert len(split(got)[1]) == 16 << 20


def test_a_client_may_close_its_sending_side_first(live: Agent, listen: str) -> None:
    """Half-closed is not gone."""
    with connect(listen) as client:
        client.sendall(ask("/slow/0.3"))
        client.shutdown(socket.SHUT_WR)
        assert split(read_all(client))[1] == b"slow 0001-v1"


def test_an_answer_that_comes_before_the_upload_is_done_reaches_the_client(live: Agent, listen: str) -> None:
    """413 while the client still sends: it is not destroyed by a reset."""
    with connect(listen) as client:
        client.sendall(ask("/refuse", "Content-Length: 100000000", method="POST"))
        client.sendall(b"x" * 300_000)
        head, body = split(read_all(client))
    assert b"413" in head.split(b"\r\n")[0]
    assert body == b"too large"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GARBAGE\r\n\r\n", b"400"),
        (b"GET /\r\n\r\n", b"400"),
        (b"GET / HTTP/2.0\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nNo colon\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nBlank : x\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nA: b\nX: c\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nA: b\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * (66 << 10) + b"\r\n\r\n", b"431"),
    ],
)
def test_what_is_no_request_is_answered_by_the_door(
    live: Agent, listen: str, request_bytes: bytes, status: bytes
) -> None:
    """400 for malformed heads, 431 for ones above 64 KiB; the application never sees them."""
    with connect(listen) as client:
        client.sendall(request_bytes)
        client.shutdown(socket.SHUT_WR)
        head, _ = split(read_all(client))
    assert head.split(b" ")[1] == status
    assert b"Tagship-Release" not in head


def test_an_application_that_ends_without_an_answer_is_a_bad_gateway(live: Agent, listen: str) -> None:
    """Asked once more where asking twice does no harm, then 502."""
    head, _ = exchange(listen, ask("/cut"))
    assert head.startswith(b"HTTP/1.1 502 ")


def test_with_nothing_current_it_says_come_back(host: Host, listen: str) -> None:
    """503 with Retry-After; the moment a release is current, that answers, through the same door."""
    agent = host.locked()
    one = blog(1)
    stage_until(agent, one)
    agent.ask("start", release=one.id)
    assert agent.ask("front", listen=listen)["started"] is True
    head, _ = exchange(listen, ask("/"))
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 1" in head
    late: list[bytes] = []
    waiting = threading.Thread(target=lambda: late.append(exchange(listen, ask("/"))[1]))
    waiting.start()
    agent.ask("flip", to=one.id, **{"from": None})
    waiting.join()
    assert exchange(listen, ask("/"))[1] == b"0001-v1"
    assert agent.ask("front", listen=listen)["started"] is False


def test_a_taken_address_is_refused_by_name(host: Host, listen: str) -> None:
    """Before anything was started, and the door that runs elsewhere goes on."""
    agent = host.locked()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(listen.rpartition(":")[2])))
        taken.listen()
        with pytest.raises(AgentError, match=f"can't listen at {listen}: Address already in use") as refused:
            agent.ask("front", listen=listen)
    assert refused.value.kind == "refused"
    assert host.survey(agent)["front"] is None
    for wrong in ("nonsense", "127.0.0.1:0", "127.0.0.1:70000"):
        with pytest.raises(AgentError) as usage:
            agent.ask("front", listen=wrong)
        assert usage.value.kind == "usage"


def test_the_door_moves_and_closes(live: Agent, host: Host, listen: str) -> None:
    """Another address: the new one listens before the old one stops. Unfront: nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        other = f"127.0.0.1:{free.getsockname()[1]}"
    live.ask("front", listen=other)
    assert exchange(other, ask("/"))[1] == b"0001-v1"
    with pytest.raises(ConnectionRefusedError):
        connect(listen)
    live.ask("unfront")
    live.ask("unfront")
    assert host.survey(live)["front"] is None
    with pytest.raises(ConnectionRefusedError):
        connect(other)
    note = host.path("state", "front.json")
    live.ask("front", listen=other)
    note.unlink()
    until(lambda: host.survey(live)["front"])  # right after exec, /proc shows no command line yet
    assert host.survey(live)["front"]["listen"] == other
    assert live.ask("front", listen=other)["started"] is False


def test_fifty_flips_under_load_fail_no_request(host: Host, listen: str) -> None:
    """Start, flip, drain, stop, fifty times, with readers all along: each answer is whole and of one release."""
    agent = host.locked()
    one, two = blog(1), blog(2)
    go_live(agent, one, None, listen)
    stage_until(agent, two, base=one)
    done = threading.Event()
    failures: list[str] = []
    served: dict[bytes, int] = {}

    def read(path: str) -> Callable[[], None]:
        def loop() -> None:
            while not done.is_set():
                try:
                    head, body = exchange(listen, ask(path))
                except OSError as error:
                    failures.append(str(error))
                    continue
                release = body.split()[-1] if body else b""
                if not head.startswith(b"HTTP/1.1 200") or b"Tagship-Release: " + release not in head:
                    failures.append(f"{head!r} {body!r}")
                served[release] = served.get(release, 0) + 1

        return loop

    readers = [threading.Thread(target=read(path)) for path in ("/", "/", "/slow/0.02", "/slow/0.1")]
    for reader in readers:
        reader.start()
    old, new = one, two
    try:
        for _ in range(50):
            agent.ask("start", release=new.id)
            agent.ask("flip", to=new.id, **{"from": old.id})
            agent.ask("probe", release=new.id, front=listen)
            assert agent.ask("halt", release=old.id, drain=30)["cut"] is False
            old, new = new, old
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert failures == []
    assert set(served) == {b"0001-v1", b"0002-v2"}


def test_a_drain_waits_for_a_slow_request_and_no_longer_than_it_may(host: Host, listen: str) -> None:
    """Its answer comes whole from the old release; beyond `drain` seconds the process is stopped all the same."""
    agent = host.locked()
    one, two = blog(1), blog(2)
    go_live(agent, one, None, listen)
    stage_until(agent, two, base=one)
    agent.ask("start", release=two.id)
    slow: list[bytes] = []

    def begin(release: Release, path: str) -> threading.Thread:
        log = host.path("state", "log", release.id[:4] + ".log")
        before = log.read_text().count("accepted")
        thread = threading.Thread(target=lambda: slow.append(exchange(listen, ask(path))[1]))
        thread.start()
        until(lambda: log.read_text().count("accepted") > before)
        return thread

    first = begin(one, "/slow/1.5")
    agent.ask("flip", to=two.id, **{"from": one.id})
    assert agent.ask("halt", release=one.id, drain=30)["cut"] is False
    first.join()
    assert slow == [b"slow 0001-v1"]
    second = begin(two, "/slow/60")
    assert agent.ask("halt", release=two.id, drain=0.3)["cut"] is True
    second.join()
    assert b"slow" not in slow[1]


def test_nobody_is_waited_for_where_the_release_was_never_public(host: Host) -> None:
    """Who is still connected to it can only be a probe that gave up: a release that hangs is put back at once."""
    agent = host.locked()
    one = blog(1)
    stage_until(agent, one)
    agent.ask("start", release=one.id)
    with socket.socket(socket.AF_UNIX) as gave_up:
        gave_up.connect(str(host.path("releases", one.id, "run", "web.sock").resolve()))
        assert agent.ask("halt", release=one.id, drain=2)["cut"] is False


def test_a_connection_counts_from_before_it_is_accepted_until_its_server_closes_it() -> None:
    """Those queued on a listener are what a stop right after a flip would lose; the listener itself is none."""
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as listener:
        path = f"{short}/with blank.sock"
        listener.bind(path)
        listener.listen()
        assert drain.connections(path) == 0
        with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
            first.connect(path)
            second.connect(path)
            assert drain.connections(path) == 2
            accepted, _ = listener.accept()
            assert drain.connections(path) == 2
            accepted.close()
            assert drain.connections(path) == 1
            assert drain.connections(path + "2") == 0


def test_a_process_that_ignores_sigterm_is_killed(host: Host) -> None:
    """After ten seconds, and the answer says that it took force."""
    agent = host.locked()
    ignores = "import signal, runpy; runpy_sig = signal.signal; import sys; sys.argv = ['server.py', sys.argv[1]];"
    code = (
        f"{ignores} signal.signal = lambda *a: None; runpy_sig(signal.SIGTERM, signal.SIG_IGN);"
        " runpy.run_path('server.py', run_name='__main__')"
    )
    one = blog(1, start=["python", "-c", code, "{socket}"])
    stage_until(agent, one)
    agent.ask("start", release=one.id)
    assert agent.ask("halt", release=one.id, drain=0)["killed"] is True
    assert host.survey(agent)["releases"][0]["pid"] is None


def test_an_old_process_that_still_answers_after_a_flip_fails_the_probe(host: Host, listen: str) -> None:
    """Proof is the peer of the socket behind `current`, and the release that the front door names."""
    agent = host.locked()
    one, two = blog(1), blog(2, probe={**PROBE, "timeout": 0.5})
    go_live(agent, one, None, listen)
    stage_until(agent, two, base=one)
    agent.ask("flip", to=two.id, **{"from": one.id})
    run = host.path("releases", two.id, "run")
    target = host.path("releases", one.id, "run").readlink()
    run.unlink()
    run.symlink_to(target)
    with pytest.raises(AgentError, match=f"the process behind `current` is of {one.id}"):
        agent.ask("probe", release=two.id, front=listen)
    assert host.survey(agent)["serving"] == one.id
