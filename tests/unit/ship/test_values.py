"""Release ids, known hosts, surveys and outcomes: small values with sharp edges."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
from pathlib import Path
from typing import Any

import pytest
from unit.ship.test_plans import survey

from tagship import config
from tagship.config import Host, Stage
from tagship.errors import (
    Degraded,
    HostRefused,
    Interrupted,
    Locked,
    TagshipError,
    UsageError,
)
from tagship.ship.connecting import places
from tagship.ship.crew import Crew, side_by_side
from tagship.ship.hostkeys import HostKey, name_in_file, read_known
from tagship.ship.layout import release_id, serial_of
from tagship.ship.outcome import outcome_of
from tagship.ship.plan import LONG, Phase, Plan, Step, to_json
from tagship.ship.sshconfig import split_jump
from tagship.ship.status import HostStatus
from tagship.ship.survey import HostSurvey, Room, refusals
from tagship.ship.unwind import undos


@pytest.mark.parametrize(
    ("serial", "tag", "made"),
    [
        (7, "v1.4.0", "0007-v1.4.0"),
        (12345, "v1", "12345-v1"),
        (1, "release/1.2+b", "0001-release-1.2-b"),
        (2, "x" * 60, "0002-" + "x" * 40),
        (3, "vö$(id)", "0003-v---id-"),
    ],
)
def test_a_release_id_is_the_serial_and_the_tag_made_safe(serial: int, tag: str, made: str) -> None:
    """Anything but letters, digits, dot, underscore and dash becomes a dash; 40 characters at most."""
    assert release_id(serial, tag) == made
    assert serial_of(made) == serial


@pytest.mark.parametrize("text", ["", "current", "007-v1", "0001-", "0001-a/b", "0001-v1\n", "-0001-v1"])
def test_what_is_no_release_id_has_no_serial(text: str) -> None:
    """Only ids that `release_id` could have made are read."""
    with pytest.raises(ValueError, match="no release id"):
        serial_of(text)


def test_a_serial_begins_at_one() -> None:
    """Serial 0 means that there was none."""
    with pytest.raises(ValueError, match="no release id"):
        release_id(0, "v1")


KEY = HostKey("ssh-ed25519", b"\x00\x00\x00\x0bssh-ed25519" + b"k" * 36)
TEXT = base64.b64encode(KEY.blob).decode()


def hashed(name: str) -> str:
    digest = hmac.new(b"salt", name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(b'salt').decode()}|{base64.b64encode(digest).decode()}"


@pytest.mark.parametrize(
    ("names", "name", "known"),
    [
        ("web1", "web1", True),
        ("WEB1", "web1", True),
        ("web1,10.0.0.1", "10.0.0.1", True),
        ("web1", "web11", False),
        ("*.example.org", "a.example.org", True),
        ("*.example.org,!b.example.org", "b.example.org", False),
        ("web?", "web1", True),
        ("[web1]:2222", "[web1]:2222", True),
        ("[web1]:2222", "web1", False),
        ("web1", "[web1]:2222", False),
        ("[web[1]]:22", "[web1]:22", False),
        (hashed("web1"), "web1", True),
        (hashed("web1"), "web2", False),
        ("|1|nonsense", "web1", False),
    ],
)
def test_known_hosts_names_match_as_openssh_matches_them(names: str, name: str, known: bool) -> None:
    """Lists, patterns, negation, ports and hashed names."""
    assert (KEY in read_known([f"# comment\n\n{names} ssh-ed25519 {TEXT} me@here\n"], name).keys) is known


def test_markers_of_known_hosts_are_heeded() -> None:
    """A revoked key is known as such; a certificate authority's key is no host key."""
    text = f"@revoked web1 ssh-ed25519 {TEXT}\n@cert-authority web1 ssh-rsa {TEXT}\nweb1 ssh-ed25519 not-base64\n"
    found = read_known([text], "web1")
    assert (found.keys, found.revoked) == (frozenset(), frozenset({KEY}))


def test_only_known_key_types_are_negotiated() -> None:
    """With a known RSA key, the two algorithms that prove it are left; with none known, all are."""
    rsa = read_known([f"web1 ssh-rsa {TEXT}"], "web1")
    assert "rsa-sha2-512" not in rsa.refused_algorithms()
    assert "ssh-ed25519" in rsa.refused_algorithms()
    assert read_known([], "web1").refused_algorithms() == ()


def test_a_port_other_than_22_is_part_of_the_name() -> None:
    """As ssh writes it into known_hosts."""
    assert (name_in_file("web1", 22), name_in_file("::1", 2222)) == ("web1", "[::1]:2222")


@pytest.mark.parametrize(
    ("jump", "parts"),
    [
        ("gate", ("gate", None, None)),
        ("me@gate:2222", ("gate", "me", 2222)),
        ("me@[::1]:2222", ("::1", "me", 2222)),
        ("ssh://gate:22", ("gate", None, 22)),
    ],
)
def test_jump_hosts_are_split(jump: str, parts: tuple[str, str | None, int | None]) -> None:
    """`[user@]host[:port]`."""
    assert split_jump(jump) == parts


CHANGES: dict[str, dict[str, Any]] = {
    "current": {"current": None},
    "kind": {"current_kind": "directory"},
    "serial": {"highest": 9},
    "served": {"serving": None},
    "front": {"front": None},
    "shared file": {"missing": ["a"]},
    "env": {"env": "missing"},
    "python": {"python": None},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_fingerprint_changes_with_what_plans_depend_on(change: str) -> None:
    """Whatever could make another plan makes another fingerprint."""
    short = {"current": "0001-v1", "releases": ["0001-v1 good running"]}
    assert survey("h", short).fingerprint != survey("h", {**short, "survey": CHANGES[change]}).fingerprint


def test_a_fingerprint_does_not_change_with_time() -> None:
    """Free space and the lock come and go while a plan stays true."""
    short = {"current": "0001-v1", "releases": ["0001-v1 good running"]}
    later = {"disk_free": 1, "inodes_free": 2, "lock": {"owner": "me"}}
    assert survey("h", short).fingerprint == survey("h", {**short, "survey": later}).fingerprint


def test_a_survey_that_makes_no_sense_is_our_bug() -> None:
    """A field that docs/agent.md promises and that isn't there is told with the host's name."""
    with pytest.raises(TagshipError, match="makes no sense") as caught:
        HostSurvey.from_json("web1", {"root": "/srv/app"})
    assert caught.value.where == "web1"


def test_a_reserve_of_room_stays_free() -> None:
    """A tenth more than needed and 64 MB must be there; one byte less is refused."""
    enough = int(100_000_000 * 1.1) + 64 * 1024 * 1024
    need = Room(100_000_000, 0)
    fits = survey("h", {"survey": {"disk_free": enough}})
    tight = survey("h", {"survey": {"disk_free": enough - 1}})
    assert refusals(fits, env=None, python="python3", need=need) == ()
    (refusal,) = refusals(tight, env=None, python="python3", need=need)
    assert "too little room" in refusal.what


def test_a_filesystem_that_counts_no_inodes_has_enough() -> None:
    """`null` says that there is no limit."""
    found = refusals(survey("h", {"survey": {"inodes_free": None}}), env=None, python="python3", need=Room(0, 10**9))
    assert found == ()


def test_an_undo_that_several_steps_owe_is_done_once_at_the_oldest() -> None:
    """Removing a release undoes all of its staging, after what came later is undone."""
    gone = ("unstage", {"release": "1"})
    steps = [
        Step("h", "declare", "declare", undo=gone),
        Step("h", "tree", "tree", undo=gone),
        Step("h", "start", "start", undo=("halt", {"release": "1"})),
        Step("h", "probe", "probe"),
    ]
    assert [(step.title, act[0]) for step, act in undos(steps)] == [("start", "halt"), ("declare", "unstage")]


def test_a_plan_in_json_counts_long_lists() -> None:
    """A manifest of thousands of rows is told by its length; short lists are told as they are."""
    step = Step("h", "declare", "declare", {"put": [["a"]] * (LONG + 1), "drop": ["b"]})
    plan = Plan("deploy", "s", "0001-v1", {"h": None}, (Phase("stage", (step,)),), "deploy")
    assert to_json(plan)[0]["steps"][0]["args"] == {"put": {"count": LONG + 1}, "drop": ["b"]}


@pytest.mark.parametrize(
    ("error", "word", "code"),
    [
        (HostRefused("no", host="h"), "refused", 3),
        (UsageError("no"), "refused", 2),
        (Locked("no", host="h", holder={}), "locked", 6),
        (Degraded("no", hosts={}), "degraded", 5),
        (Interrupted("no"), "restored", 130),
        (TagshipError("no"), "degraded", 1),
    ],
)
def test_an_error_has_one_outcome(error: TagshipError, word: str, code: int) -> None:
    """What programs read and what the exit code says agree."""
    made = outcome_of(error)
    assert (made.outcome, made.exit, made.error) == (word, code, error)


def test_a_stage_without_hosts_is_embedded_only_if_it_is_local(tmp_path: Path) -> None:
    """`local` needs no hosts and lives in the project; any other stage without hosts is a mistake."""
    (place,) = places("local", Stage(), "app", tmp_path)
    assert (place.name, place.root) == ("local", str(tmp_path / ".tagship/local"))
    with pytest.raises(UsageError, match="has no hosts"):
        places("staging", Stage(), "app", tmp_path)


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (Stage(hosts=(Host(host="a"), Host(host="a"))), "two hosts called a"),
        (Stage(hosts=(Host(host="a"),), root="srv"), "not absolute"),
    ],
)
def test_hosts_that_can_not_be_told_apart_or_placed_are_refused(
    stage: config.Stage, message: str, tmp_path: Path
) -> None:
    """Names are unique, roots absolute."""
    with pytest.raises(UsageError, match=message):
        places("production", stage, "app", tmp_path)


def test_hosts_keep_their_own_settings(tmp_path: Path) -> None:
    """A host's name, root and front win over the stage's; keys are looked for in the project."""
    hosts = (Host(host="10.0.0.1", name="web1", identity="keys/deploy"), Host(host="b", root="/opt/b", front="b:1"))
    first, second = places("production", Stage(hosts=hosts), "app", tmp_path)
    assert (first.name, first.root, first.front) == ("web1", "/srv/app", "127.0.0.1:80")
    assert dataclasses.asdict(first)["transport"]["identity"] == tmp_path / "keys/deploy"
    assert (second.name, second.root, second.front) == ("b", "/opt/b", "b:1")


def test_work_side_by_side_keeps_the_order_and_raises_the_first_error() -> None:
    """Results come in the order of the hosts, however long each took; never more than `parallel` at once."""
    assert list(side_by_side(str.upper, ["b", "a", "c"], 2)) == ["b", "a", "c"]

    def fail(host: str) -> None:
        raise ValueError(host)

    with pytest.raises(ValueError, match="b"):
        side_by_side(fail, ["b", "a"], 1)
    crew = Crew(fail, ["a", "b"], 1)
    assert crew.wait()
    assert set(crew.errors) == {"a", "b"}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, "well"),
        ({"current": None, "current_kind": "none", "serving": None, "well": False}, "nothing is live"),
        (
            {"current": None, "current_kind": "directory", "serving": None, "well": False},
            "`current` is a real directory",
        ),
        (
            {"current": None, "current_kind": "foreign", "serving": None, "well": False},
            "`current` is no link of ours",
        ),
        ({"current": "0009-gone", "serving": None, "well": False}, "`current` names a release that isn't there"),
        ({"serving": None, "well": False}, "it runs, and nothing listens on its socket"),
        ({"serving": "0002-v0.2.0", "well": False}, "0002-v0.2.0 answers"),
        ({"well": False, "fault": "GET / answered 404, not 200"}, "not well: GET / answered 404, not 200"),
        ({"front": None}, "front door closed"),
    ],
)
def test_a_status_says_what_is_the_matter(changed: dict[str, Any], words: str) -> None:
    """One sentence for each way of not being well; only `well` is well."""
    short = {"current": "0001-v0.1.0", "releases": ["0001-v0.1.0 good running"], "survey": changed}
    status = HostStatus.of(survey("web1", short))
    assert (status.words, status.well) == (words, words == "well")
