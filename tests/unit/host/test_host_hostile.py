"""Bytes, rows and folders that mean harm: refused, with nothing written outside and nothing of them used."""

from __future__ import annotations

import hashlib
import os
import stat
import zlib
from typing import Any

import pytest
from unit.host.client import AgentError, Host, Release, blog, digest, names, stage_until, tree

SHA = hashlib.sha256(b"x").hexdigest()
HOSTILE: dict[str, list[list[Any]]] = {
    "absolute": [["/etc/x", "f", SHA, 1]],
    "outside its rooms": [["venv/bin/python", "f", SHA, 1]],
    "release.json": [["release.json", "f", SHA, 1]],
    "a room itself": [["app", "f", SHA, 1]],
    "up": [["app/../../x", "f", SHA, 1]],
    "dot": [["app/./x", "f", SHA, 1]],
    "empty part": [["app//x", "f", SHA, 1]],
    "NUL": [["app/a\0b", "f", SHA, 1]],
    "lone surrogate": [["app/\ud800", "f", SHA, 1]],
    "a name too long": [["app/" + "a" * 256, "f", SHA, 1]],
    "a name too long in bytes": [["app/" + "é" * 128, "f", SHA, 1]],
    "a path too long": [["app/" + "a/" * 2048, "f", SHA, 1]],
    "a path too long in bytes": [["app/" + "é/" * 400, "f", SHA, 1]],
    "newline": [["app/a\nb", "f", SHA, 1]],
    "escape": [["app/\x1b[31m", "f", SHA, 1]],
    "delete": [["app/a\x7f", "f", SHA, 1]],
    "C1 control": [["app/a\x9b31m", "f", SHA, 1]],
    "line separator": [["app/a\u2028b", "f", SHA, 1]],
    "read backwards": [["app/\u202egpj.exe", "f", SHA, 1]],
    "leading dash": [["app/-rf", "f", SHA, 1]],
    "leading dash of a folder": [["app/-x/a", "f", SHA, 1]],
    ".git": [["app/.git/config", "f", SHA, 1]],
    ".GIT": [["app/x/.GiT", "f", SHA, 1]],
    "two Unicode forms": [["app/caf\u00e9", "f", SHA, 1], ["app/cafe\u0301", "f", SHA, 1]],
    "two Unicode forms of a folder": [["app/caf\u00e9/a", "f", SHA, 1], ["app/cafe\u0301/b", "f", SHA, 1]],
    "twice": [["app/x", "f", SHA, 1], ["app/x", "x", SHA, 1]],
    "file and folder": [["app/x", "f", SHA, 1], ["app/x/y", "f", SHA, 1]],
    "link and folder": [["app/x", "l", "y"], ["app/x/y", "f", SHA, 1]],
    "absolute link": [["app/x", "l", "/etc/passwd"]],
    "link out": [["app/x", "l", "../../x"]],
    "link to the release's own files": [["app/x", "l", "../start"]],
    "link out through a link": [["app/a/b/l", "l", "../../c"], ["app/m", "l", "a/b/l/../../.."]],
    "link to itself": [["app/x", "l", "x"]],
    "links in a circle": [["app/x", "l", "y"], ["app/y", "l", "x"]],
    "empty link": [["app/x", "l", ""]],
    "link with NUL": [["app/x", "l", "a\0b"]],
    "link with a newline": [["app/x", "l", "a\nb"]],
    "link with a long target": [["app/x", "l", "a" * 1025]],
    "link through a folder that is a link": [
        ["app/a", "l", "b/c"],
        ["app/b/c", "l", ".."],
        ["app/d", "l", "a/../../.."],
    ],
    "a long chain of links": [[f"app/{n:03}", "l", f"{n + 1:03}"] for n in range(60)],
    "a setuid file": [["app/x", "s", SHA, 1]],
    "a mode": [["app/x", 0o104755, SHA, 1]],
    "a device": [["app/x", "c", SHA, 1]],
    "a digest that is a path": [["app/x", "f", "../../../../etc/passwd", 1]],
    "a negative size": [["app/x", "f", SHA, -1]],
    "a size that is no number": [["app/x", "f", SHA, True]],
    "a short row": [["app/x"]],
    "no row": ["app/x"],  # type: ignore[list-item]
}


@pytest.mark.parametrize("rows", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_row_refuses_the_whole_release(host: Host, rows: list[list[Any]]) -> None:
    """Before the journal, the folder or any file of it is written."""
    agent = host.locked()
    before = list(tree(host.root.parent))
    good = ["app/good", "f", SHA, 1]
    whole = sorted([*rows, good], key=lambda row: str(row[0]))
    declaration = {**blog(1).declaration(), "put": whole, "manifest": digest(whole)}
    with pytest.raises(AgentError) as refused:
        agent.ask("declare", **declaration)
    assert refused.value.kind == "refused"
    assert "manifest" not in refused.value.what
    assert list(tree(host.root.parent)) == before
    assert host.journal() == []


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"manifest": "0" * 64}, "refused"),
        ({"base": "0009-none"}, "refused"),
        ({"base": "../.."}, "usage"),
        ({"wheels": [["../x-1-py3-none-any.whl", SHA, 1]]}, "refused"),
        ({"wheels": [["-x-1-py3-none-any.whl", SHA, 1]]}, "refused"),
        ({"wheels": [["x-1-py3-none-any.whl", "../../x", 1]]}, "usage"),
        ({"wheels": [["x-1-py3-none-any.whl", SHA, 1]]}, "usage"),
        ({"put": None}, "usage"),
        ({"release": None}, "usage"),
    ],
)
def test_a_declaration_that_makes_no_sense_changes_nothing(host: Host, changed: dict[str, Any], kind: str) -> None:
    """A manifest that doesn't come out, an unknown base, wheels with paths for names."""
    agent = host.locked()
    with pytest.raises(AgentError) as refused:
        agent.ask("declare", **{**blog(1).declaration(), **changed})
    assert refused.value.kind == kind
    assert host.journal() == []
    assert list(host.path("releases").iterdir()) == []


@pytest.mark.parametrize(
    "shared",
    [
        {"dirs": ["../up"], "links": [], "served": []},
        {"dirs": ["/etc"], "links": [], "served": []},
        {"dirs": ["server.py"], "links": [], "served": []},
        {"dirs": ["server.py/below"], "links": [], "served": []},
        {"dirs": ["folder"], "links": [], "served": []},
        {"dirs": ["link/below"], "links": [], "served": []},
        {"dirs": ["a", "a/b"], "links": [], "served": []},
        {"dirs": ["a"], "links": ["a"], "served": []},
    ],
)
def test_what_is_shared_takes_nothing_s_place(host: Host, shared: dict[str, list[str]]) -> None:
    """Not a file's, not a folder's, not below a link, not one another's, nothing outside app/."""
    agent = host.locked()
    release = blog(1, files={"app/folder/x": b"x"}, links={"app/link": "folder"}, shared=shared)
    with pytest.raises(AgentError) as refused:
        agent.ask("declare", **release.declaration())
    assert refused.value.kind == "refused"
    assert host.journal() == []


def test_names_that_differ_by_case_are_two_names(host: Host) -> None:
    """As they are on every Linux; and what isn't a control character may stand in a name, also a dash inside."""
    agent = host.locked()
    files = {"app/README": b"1", "app/readme": b"2", "app/x/caf\u00e9-1 \u200d.txt": b"3", "app/.github/a": b"4"}
    release = Release(1, "v1", files, links={"app/l": "x/../readme", "app/up": "l"}, start=[])
    stage_until(agent, release, "tree")
    folder = host.path("releases", release.id)
    assert {path: (folder / path).read_bytes() for path in files} == files
    assert (folder / "app/up").read_text() == "2"


def test_a_deep_tree_can_be_staged_and_removed(host: Host) -> None:
    """As deep as a path may be long: no limit of descriptors, frames or path lengths is met."""
    agent = host.locked()
    release = Release(1, "v1", {"app/" + "d/" * 500 + "f": b"deep"}, start=[])
    for verb in ("declare", "put", "tree", "furnish", "seal"):
        if verb == "declare":
            missing = agent.ask("declare", **release.declaration())["missing"]
        elif verb == "put":
            agent.put(missing, release.packed([key for key, _ in missing]))
        else:
            agent.ask(verb, release=release.id)
    assert agent.ask("verify", release=release.id)["drift"] == []
    agent.ask("unstage", release=release.id)
    assert names(host.path("releases")) <= {"by-serial"}


def test_a_million_entries_are_refused_in_one_message(host: Host) -> None:
    """Also in portions: what a base has counts too. Memory stays in proportion to what was sent."""
    agent = host.locked()
    rows = [[f"app/{n}", "l", "x"] for n in range(200_001)]
    with pytest.raises(AgentError, match="at most 200000") as refused:
        agent.ask("declare", **{**blog(1).declaration(), "put": rows, "manifest": "0" * 64})
    assert refused.value.kind == "refused"
    base = Release(1, "v1", {"app/0": b""}, links={row[0]: "0" for row in rows[1:150_000]}, start=[])
    agent.ask("declare", **base.declaration())
    more = Release(2, "v2", {"app/0": b""}, links={row[0]: "0" for row in rows[1:]}, start=[])
    with pytest.raises(AgentError, match="more than 200000 entries") as refused:
        agent.ask("declare", **more.declaration(base))
    assert refused.value.kind == "refused"
    assert names(host.path("releases")) <= {base.id, "by-serial"}
    million = [[f"app/{n}", "l", "x"] for n in range(1_000_000)]
    with pytest.raises(AgentError, match="at most 200000"):
        agent.ask("declare", **{**blog(1).declaration(), "put": million, "manifest": "0" * 64})


def test_a_stream_with_other_content_names_no_object(host: Host) -> None:
    """A byte flipped, too little, too much, not zlib: refused, and the session goes on."""
    agent = host.locked()
    one = Release(1, "v1", {"app/a": b"a" * 5000, "app/b": b"b" * 5000})
    missing = agent.ask("declare", **one.declaration())["missing"]
    content = b"".join(one.contents[key] for key, _ in missing)
    flipped = content[:7000] + b"!" + content[7001:]
    for bad, kind in (
        (zlib.compress(flipped), "tampered"),
        (zlib.compress(content[:-1]), "usage"),
        (zlib.compress(content + b"more"), "usage"),
        (zlib.compress(content)[:-40], "usage"),
        (b"not zlib at all", "tampered"),
        (b"", "usage"),
    ):
        agent_objects = host.path("objects")
        for path in agent_objects.iterdir():
            path.unlink()
        with pytest.raises(AgentError) as refused:
            agent.put(missing, bad)
        assert refused.value.kind == kind
        for path in agent_objects.iterdir():
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    with pytest.raises(AgentError, match="wasn't missing"):
        agent.put([["f" * 64, 3]], zlib.compress(b"abc"))
    assert agent.put(missing, zlib.compress(content)) == {"bytes": 10_000}
    assert agent.ask("tree", release=one.id) == {"files": 2}


def test_an_object_swapped_after_it_was_checked_is_refused_and_sent_afresh(host: Host) -> None:
    """`tampered` names it, nothing links it, and the next declaration misses it."""
    agent = host.locked()
    one = blog(1)
    stage_until(agent, one, "put")
    victim = host.path("objects", next(row[2] for row in one.rows if row[0] == "app/server.py"))
    victim.chmod(0o644)
    victim.write_bytes(victim.read_bytes().replace(b"import", b"IMPORT"))
    with pytest.raises(AgentError) as tampered:
        agent.ask("tree", release=one.id)
    assert tampered.value.kind == "tampered"
    assert not host.path("releases", one.id, "app/server.py").exists()
    agent.ask("unstage", release=one.id)
    stage_until(agent, blog(2))


def test_an_object_damaged_before_counts_as_missing_and_is_named(host: Host) -> None:
    """Hashed again before it is used: wrong content, an empty file after a power cut, a link, all are replaced."""
    agent = host.locked()
    one = Release(1, "v1", {f"app/{name}": name.encode() * 100 for name in "abcd"})
    stage_until(agent, one)
    keys = {row[0]: row[2] for row in one.rows}
    damaged = [keys["app/a"], keys["app/b"], keys["app/c"]]
    for key in damaged:
        host.path("objects", key).unlink()
    host.path("objects", damaged[0]).write_bytes(b"A" * 100)
    host.path("objects", damaged[1]).write_bytes(b"")
    host.path("objects", damaged[2]).symlink_to("/etc/passwd")
    two = Release(2, "v2", {f"app/{name}": name.encode() * 100 for name in "abcd"})
    fresh = host.connect()
    agent.ask("unlock")
    host.survey(fresh)
    fresh.ask("lock", owner="ann", release=None, verb="deploy")
    answer = fresh.ask("declare", **two.declaration(one))
    assert sorted(key for key, _ in answer["missing"]) == sorted(damaged)
    assert sorted(answer["tampered"]) == sorted(damaged)
    fresh.put(answer["missing"], two.packed([key for key, _ in answer["missing"]]))
    assert fresh.ask("tree", release=two.id) == {"files": 4}
    assert host.path("releases", two.id, "app/a").read_bytes() == b"a" * 100


@pytest.mark.parametrize("name", ["app/server.py", "start", "within", "id", "release.json", "sealed.json"])
def test_a_release_that_was_changed_since_its_seal_is_named_before_it_runs(host: Host, name: str) -> None:
    """What a rollback goes to is hashed first, whatever its times say; files that it wrote itself are left alone."""
    agent = host.locked()
    one = blog(1)
    stage_until(agent, one)
    path = host.path("releases", one.id, name)
    path.with_name("written-at-run-time").touch()
    assert agent.ask("sound", release=one.id) == {}
    before, content = path.stat(), path.read_bytes()
    path.unlink()
    path.write_bytes(content[:-1] + b" ")
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(AgentError) as tampered:
        agent.ask("sound", release=one.id)
    assert (tampered.value.kind, tampered.value.data) == ("tampered", {"path": name})


def test_a_root_belongs_to_one_app_and_stage(host: Host) -> None:
    """Two of them never meet: the second is refused at the survey, whoever comes."""
    agent = host.locked()
    stage_until(agent, blog(1))
    agent.ask("unlock")
    other = host.connect()
    for changed in ({"app": "shop"}, {"stage": "production"}):
        with pytest.raises(AgentError, match="belongs to the app `blog`, stage `local`") as refused:
            host.survey(other, **changed)
        assert refused.value.kind == "refused"
        assert "if the app was renamed, first stop it under its old name" in refused.value.cure


def test_a_survey_survives_whatever_lies_in_the_root_and_creates_nothing(host: Host) -> None:
    """Files where folders should be, folders where files should be, foreign names: none is an error."""
    root = host.root
    (root / "releases" / "0003-foreign").mkdir(parents=True)
    (root / "releases" / "not one").write_text("")
    (root / "releases" / "0004-link").symlink_to("/etc")
    (root / "releases" / "0005-broken").mkdir()
    (root / "releases" / "0005-broken" / "manifest.json").write_text("{")
    (root / "state" / "journal.jsonl").mkdir(parents=True)
    (root / "state" / "lock").mkdir()
    (root / "state" / "front.json").write_text("[]")
    (root / "state" / "owner.json").write_text("")
    (root / "shared").write_text("a file")
    (root / "objects").symlink_to("/nowhere")
    (root / "current").write_text("a file")
    before = sorted(tree(root))
    survey = host.survey(host.connect(), links=["a"], env=".env")
    assert sorted(tree(root)) == before
    assert (survey["current"], survey["current_kind"]) == (None, "foreign")
    assert (survey["releases"], survey["highest"], survey["lock"], survey["front"]) == ([], 0, None, None)
    assert (survey["missing"], survey["env"], survey["installer"]) == (["a"], "missing", None)
    agent = host.connect()
    host.survey(agent)
    with pytest.raises(AgentError) as refused:
        agent.ask("lock", owner="ann", release=None, verb="deploy")
    assert refused.value.kind == "refused"


def test_a_survey_of_nothing_creates_nothing(host: Host) -> None:
    """No root, no home cache; and a root that is a file is refused by name."""
    survey = host.look()
    assert (survey["exists"], survey["writable"], survey["releases"]) == (False, True, [])
    assert list(tree(host.root.parent)) == ["home"]
    host.root.write_text("in the way")
    with pytest.raises(AgentError, match="is not a folder") as refused:
        host.survey(host.connect())
    assert refused.value.kind == "refused"
    with pytest.raises(AgentError, match="not absolute"):
        host.survey(host.connect(), root="srv/app")


def test_a_release_whose_name_is_taken_by_a_foreign_folder_is_refused(host: Host) -> None:
    """What isn't ours is neither used nor removed."""
    agent = host.locked()
    mine = host.path("releases", "0001-v1")
    mine.mkdir()
    (mine / "precious").write_text("keep")
    with pytest.raises(AgentError, match="there already, and not ours") as refused:
        agent.ask("declare", **blog(1).declaration())
    assert refused.value.kind == "refused"
    agent.ask("unstage", release="0001-v1")
    assert (mine / "precious").read_text() == "keep"
    assert host.journal() == []


def test_root_and_home_with_too_long_paths_are_refused_before_anything_changes(host: Host) -> None:
    """A unix socket's path holds 107 bytes."""
    host.home = host.home / ("h" * 60)
    host.root = host.root / ("r" * 90)
    host.home.mkdir()
    agent = host.locked()
    with pytest.raises(AgentError, match="longer than 107 bytes") as refused:
        agent.ask("declare", **blog(1).declaration())
    assert refused.value.kind == "refused"
    assert host.journal() == []


def test_frames_that_are_none_end_the_session(host: Host) -> None:
    """An oversized or unknown frame can't be answered; what was declared is taken back."""
    for bad in (
        b"\xff\xff\xff\xff\x01",
        b"\x00\x20\x00\x00\x02",
        b"\0\0\0\1\x09x",
        b"\0\0\0\2\x01[]",
        b"\0\0\0\2\x01{x",
    ):
        agent = host.locked()
        serial = host.survey(agent)["highest"] + 1
        agent.ask("declare", **blog(serial).declaration())
        agent.write(bad)
        agent.process.wait(30)
        assert agent.errors().count("\n") == 1
        assert host.journal()[-1] == ("abandoned", f"{serial:04d}-v{serial}")
        assert names(host.path("releases")) == set()


def test_no_other_user_of_the_host_can_hold_the_lock(host: Host) -> None:
    """A `flock` is had by whoever may open the file, if only to read it; folders of old stages are closed too."""
    host.path("state").mkdir(parents=True)
    host.path("state").chmod(0o755)
    agent = host.locked()
    agent.ask("unlock")
    for folder in ("state", "state/log", "objects"):
        assert stat.S_IMODE(host.path(folder).stat().st_mode) == 0o700, folder
