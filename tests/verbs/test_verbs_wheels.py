"""The project as `tagship init` writes it: gunicorn and WhiteNoise from locked wheels, in a virtualenv of its own."""

from __future__ import annotations

from verbs.conftest import Make

from tagship.scaffold.reader import Reader, get


def test_a_new_project_goes_live_and_down_as_it_is(make: Make) -> None:
    """Two tags, a deploy under a reader's eyes, a rollback; the wheels are fetched for the first one only."""
    project = make(light=False)
    project.tag("v0.1.0")
    first = project.told("fab", "deploy")
    assert (first.exit, first.result["outcome"]) == (0, "live"), first.events
    assert b"<title>" in get(project.front, "/").body
    project.tag("v0.2.0", {"posts/2026-01-02-second.md": "---\ntitle: Second\n---\nText.\n"})
    with Reader(project.front, ["/"]) as reader:
        second = project.told("fab", "deploy")
        assert get(project.front, "/2026/01/second/").status == 200
        assert project.told("fab", "rollback").exit == 0
    assert reader.reading.failed == 0, reader.reading.failures
    assert get(project.front, "/2026/01/second/").status == 404
    assert first.result["bytes_sent"] > 1_000_000 > second.result["bytes_sent"]
    assert project.run("fab", "verify").exit == 0
    python = project.root / "releases" / "0002-v0.2.0" / "venv" / "bin" / "gunicorn"
    assert python.exists()
