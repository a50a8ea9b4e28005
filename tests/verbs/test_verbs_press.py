"""`inv` and `tagship`: a project begun, posts written, the site built and served."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from contract.projects import free_port
from verbs.conftest import Make
from verbs.project import Project, eventually

from tagship.scaffold.reader import get

DRAFT = "---\ntitle: A draft\ndraft: true\n---\nNot yet.\n"
FUTURE = "---\ntitle: Tomorrow\n---\nNot today.\n"


@pytest.fixture
def site(live: Project) -> Project:
    """The module's project with a draft and a post of the far future in it, and no build/."""
    live.write({"posts/2026-01-03-draft.md": DRAFT, "posts/2999-01-01-tomorrow.md": FUTURE})
    assert live.run("inv", "clean").exit == 0
    return live


def pages(folder: Path) -> set[str]:
    return {str(path.parent.relative_to(folder)) for path in folder.rglob("index.html")}


def test_build_leaves_drafts_and_the_future_out(site: Project) -> None:
    """They are named, so that nobody wonders; build/site is a link to a whole tree."""
    told = site.told("inv", "build")
    assert (told.exit, told.result["outcome"], told.result["posts"]) == (0, "built", 1)
    said = " ".join(note["text"] for note in told.of("note"))
    assert "2026-01-03-draft.md" in said
    assert "2999-01-01-tomorrow.md" in said
    built = site.folder / "build" / "site"
    assert built.is_symlink()
    assert not {"2026/01/draft", "2999/01/tomorrow"} & pages(built)


def test_build_takes_drafts_the_future_and_another_folder(site: Project, tmp_path: Path) -> None:
    """--drafts, --future and --out, together with what they say."""
    out = tmp_path / "out"
    told = site.told("inv", "build", "--out", str(out), "--drafts", "--future")
    assert (told.exit, told.result["out"], told.result["posts"]) == (0, str(out), 3)
    assert {"2026/01/draft", "2999/01/tomorrow"} <= pages(out)
    assert not (site.folder / "build" / "site").exists()
    assert f"{out}: " in site.run("inv", "build", "--out", str(out)).out


def test_build_takes_another_engine(site: Project) -> None:
    """`--engine` counts before tagship.yml; one that isn't known is named, with those that are."""
    told = site.told("inv", "build", "--engine", "commonmark")
    assert (told.exit, told.result["outcome"]) == (0, "built")
    bad = site.run("inv", "build", "--engine", "pandoc")
    assert bad.exit == 2
    assert "one of: python-markdown, commonmark" in bad.err


def test_a_failed_build_leaves_the_last_good_site(site: Project) -> None:
    """Exit 2 with file and line, and build/site is what it was."""
    site.run("inv", "build")
    built = (site.folder / "build" / "site").readlink()
    site.write({"posts/2026-01-04-bad.md": "---\ntitle: [\n---\n"})
    told = site.told("inv", "build")
    assert (told.exit, told.result["outcome"]) == (2, "refused")
    assert re.fullmatch(r"posts/2026-01-04-bad\.md:\d+(:\d+)?", told.error["where"])
    assert (site.folder / "build" / "site").readlink() == built
    assert pages(site.folder / "build" / "site")


def test_clean_removes_build_and_says_so(site: Project) -> None:
    """Once there is something, once there isn't; nothing else goes."""
    site.run("inv", "build")
    assert site.run("inv", "clean").out == "removed build/\n"
    assert not (site.folder / "build").exists()
    assert site.run("inv", "clean").out == "there is no build/ to remove\n"
    assert (site.folder / "posts").is_dir()


def test_new_begins_a_draft_once(site: Project) -> None:
    """The file's path is said; the same title again is refused and changes nothing."""
    ran = site.run("inv", "new", "Straße & Café")
    assert ran.exit == 0
    path = Path(ran.out.strip())
    assert re.fullmatch(r"\d{4}-\d\d-\d\d-[a-z0-9-]+\.md", path.name)
    text = path.read_text(encoding="utf-8")
    assert "draft: true" in text
    again = site.run("inv", "new", "Straße & Café")
    assert (again.exit, again.out) == (2, "")
    assert path.name in again.err
    assert path.read_text(encoding="utf-8") == text
    assert site.run("inv", "build", "--drafts").exit == 0


def test_serve_shows_every_change_until_ctrl_c(site: Project) -> None:
    """What is saved is served; a post that is wrong is said and doesn't end it; Ctrl-C is its good end."""
    front = f"127.0.0.1:{free_port()}"
    argv = ["inv", "serve", "--port", front.rpartition(":")[2], "--drafts", "--future"]
    with subprocess.Popen(
        argv,
        cwd=site.folder,
        env={**site.env, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as process:
        try:
            eventually(lambda: b"Not yet." in body(front, "/2026/01/draft/"), "the draft is never served")
            assert b"Not today." in body(front, "/2999/01/tomorrow/")
            site.write({"posts/2026-01-03-draft.md": DRAFT.replace("Not yet.", "Nearly.")})
            eventually(lambda: b"Nearly." in body(front, "/2026/01/draft/"), "the change is never served")
            site.write({"posts/2026-01-03-draft.md": "---\nno end"})
            site.write({"posts/2026-01-05-other.md": "---\ntitle: Other\n---\nMore.\n"})
            site.write({"posts/2026-01-03-draft.md": DRAFT})
            eventually(lambda: b"More." in body(front, "/2026/01/other/"), "the mended site is never served")
        finally:
            process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert f"serving http://{front}/" in said
    assert "Traceback" not in said


def body(front: str, path: str) -> bytes:
    try:
        return get(front, path).body
    except (OSError, http.client.HTTPException):
        return b""


@pytest.mark.parametrize(
    "argv",
    [
        ("inv", "serve", "--port", "http"),
        ("inv", "serve", "--port", "65536"),
        ("inv", "serve", "--port", "-1"),
    ],
)
def test_a_port_that_is_none_is_a_usage_error(site: Project, argv: tuple[str, ...]) -> None:
    """Exit 2 and the flag's name, not a traceback."""
    ran = site.run(*argv)
    assert (ran.exit, ran.out) == (2, "")
    assert ran.err.startswith("error: --port: ")


def test_init_writes_a_project_once(tmp_path: Path, make: Make) -> None:
    """--name is the app's; a second time nothing is overwritten: exit 2, and what is there is named."""
    project = make()
    ran = project.run("tagship", "init", "other", "--name", "shop", "--host", "deploy@web1", cwd=tmp_path)
    assert ran.exit == 0
    assert re.search(r'(?m)^  name: "?shop"?$', (tmp_path / "other" / "tagship.yml").read_text())
    for line in ran.out.partition("Next:")[0].split():
        assert (tmp_path / line).is_file(), line
    before = {path: path.read_bytes() for path in (tmp_path / "other").rglob("*") if path.is_file()}
    again = project.run("tagship", "init", "other", cwd=tmp_path)
    assert (again.exit, again.out) == (2, "")
    assert "fabfile.py" in again.err
    assert {path: path.read_bytes() for path in (tmp_path / "other").rglob("*") if path.is_file()} == before
    bad = project.run("tagship", "init", "third", "--name", "No Name!", cwd=tmp_path)
    assert bad.exit == 2
    assert "--name" in bad.err
    assert not os.path.lexists(tmp_path / "third")


def test_a_build_says_why_a_page_was_made(site: Project) -> None:
    """`--explain` names what changed and what the page depends on, `--profile` writes where the time went."""
    site.run("inv", "build")
    sitemap = (site.folder / "build/site/sitemap.xml").read_text(encoding="utf-8")
    url = re.search(r"<loc>https?://[^/]+(/\d{4}/\d\d/([^/]+)/)</loc>", sitemap)
    assert url is not None
    (post,) = (site.folder / "posts").glob(f"*-{url[2]}.md")
    post.write_text(post.read_text(encoding="utf-8") + "\nOne more paragraph.\n", encoding="utf-8")
    said = site.run("inv", "build", "--explain", url[1], "--profile").out
    assert f"{url[1]} comes from posts/" in said
    assert "it was made from the template post.html" in said
    assert "Slowest texts" in (site.folder / "build/profile.html").read_text(encoding="utf-8")
    assert "not made: nothing that it is made from changed" in site.run("inv", "build", "--explain", url[1]).out


def test_next_tells_what_is_due(site: Project) -> None:
    """Texts of the future by name and moment, drafts left out."""
    told = site.told("inv", "next")
    assert told.result["next"].startswith("2999-01-01T00:00:00")
    assert "2999-01-01-tomorrow.md appears" in " ".join(note["text"] for note in told.of("note"))


def test_what_is_kept_is_held_against_a_clean_build(site: Project) -> None:
    """`inv check --cache` brings build/site up to date and compares."""
    assert "byte for byte, what a clean build makes" in site.run("inv", "check", "--cache").out
