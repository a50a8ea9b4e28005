"""A site that is edited at random, built after each edit, and held against a clean build, byte for byte."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from unit.press_project import site, snapshot, write

from tagship.errors import TagshipError
from tagship.press.build import build
from tagship.press.output import publish

SLUGS = ("a", "b", "c", "d")
DAYS = ("2026-11-01", "2026-11-02", "2026-11-03", "2026-11-21")
TITLES = ("One", "Two & two", "Three")
TAGS = ("[]", "[x]", "[x, y]", "[X]", "[z]", "[C#]")
BODIES = (
    "Some text.\n",
    "Some test.\n",
    "Other text, much longer than the first, with `code`.\n\nAnd *more*.\n",
    "See [the other](2026-11-02-b.md) and ![i](/assets/i.png).\n",
    "See [nobody][gone].\n",
    "```python\nprint(1)\n```\n",
    "![gone](/assets/gone.png)\n",
)
TEMPLATES = {
    "post.html": (
        "{% extends 'theme/post.html' %}{% block head %}<meta name=mine>{% endblock %}",
        "{{ title }}{{ post.content }}{{ newer.summary if newer else '' }}{{ site.description }}",
        "{% import 'own.html' as own %}{{ own.greet() }}",
        "{% include ['maybe.html', 'own.html'] ignore missing %}{{ asset('i.png') }}",
        "{% broken",
    ),
    "own.html": (
        "{% set name = site.title %}{% macro greet() %}hello {{ name }}{% endmacro %}x",
        "{{ menu | length }}",
    ),
    "maybe.html": (
        "perhaps {{ asset('style.css') }}",
        "{% if 'team' in data %}{{ data.team }}{% endif %}",
        "{% for item in collections.docs %}{{ item.title }}{{ item.summary }}{{ item.extra }}{% endfor %}",
    ),
    "_posts.html": ("{% macro dateline(p, l) %}-{% endmacro %}{% macro tag_links(t) %}{{ t }}{% endmacro %}",),
    "tag.html": ("{{ tag.name }} {{ tag.count }}",),
    "index.html": ("{% for post in posts %}{{ post.title }}{{ post.tags[0].count if post.tags }}{% endfor %}",),
}
PAGES = {
    "about.md": ("---\ntitle: About\n---\nUs.\n", "---\ntitle: Us\n---\nUs, [a](../../posts/2026-11-01-a.md).\n"),
    "list.html": (
        "---\ntitle: List\n---\n{% for post in posts %}{{ post.title }} {{ post.summary }}{% endfor %}",
        "---\ntitle: List\n---\n{{ posts | length }} {{ site.paginate }}",
    ),
    "deep/in/index.md": ("---\ntitle: Deep\nlayout: post\n---\n", "---\ntitle: Deep\ndraft: true\n---\nX\n"),
}
FILES = {
    "site/assets/i.png": (b"one", b"two", b"longer"),
    "site/assets/style.css": (b"a { b: url(i.png) }", b"a { b: c }"),
    "site/static/CNAME": (b"example.org", b"example.com"),
    "site/static/robots.txt": (b"User-agent: *\n",),
    "site/static/index.html": (b"a clash",),
    "posts/image.png": (b"is not published",),
    "site/data/team.yaml": (b"[{name: Ada}]", b"[{name: Bob}]", b"[bad"),
    "site/data/team.csv": (b"name,age\nAda,36\n",),
    "site/collections/docs/a.md": (
        b"---\ntitle: A\nweight: 2\n---\nOne.\n",
        b"---\ntitle: A\nextra: {colour: red}\nexpires: 2026-11-25\n---\nOne.\n",
    ),
    "site/collections/docs/b.md": (b"---\ntitle: B\nweight: 1\naliases: [/old.html, /about/]\n---\nTwo.\n",),
}
SETTINGS: tuple[dict[str, Any], ...] = (
    {"title": "Another"},
    {"description": "What it is about"},
    {"paginate": 1},
    {"feed_posts": 1},
    {"feeds": ("rss", "json"), "tag_feeds": True},
    {"permalink": "/{slug}/"},
    {"timezone": "Asia/Tokyo"},
    {"url": "https://example.com"},
    {"redirects": {"/old/": "/"}},
)
EDITS = ("body", "title", "tags", "draft", "summary")


class Post:
    """The parts of a post that edits change one by one."""

    def __init__(self) -> None:
        self.parts = {"title": "One", "tags": "[x]", "draft": "false", "summary": "", "body": BODIES[0]}

    def text(self) -> str:
        head = {key: value for key, value in self.parts.items() if key != "body" and value}
        return "---\n" + "".join(f"{key}: {value}\n" for key, value in head.items()) + f"---\n{self.parts['body']}"


class NeverStale(RuleBasedStateMachine):
    """After each edit the site that was brought up to date equals one that is built from nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="never-stale-"))
        self.project = self.folder / "project"
        self.posts: dict[str, Post] = {}
        self.settings: dict[str, Any] = {}
        self.clock = datetime(2026, 11, 20, 12, tzinfo=UTC)
        self.flags: dict[str, bool] = {}
        self.was: dict[str, bytes | None] = {}

    def teardown(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    @initialize()
    def begin(self) -> None:
        write(self.project, {"posts/.gitkeep": "", "site/assets/i.png": "one"})
        for day, slug in zip(DAYS, SLUGS[:3], strict=False):
            self.write_post(f"posts/{day}-{slug}.md", Post())
        self.check()

    # --- edits ---------------------------------------------------------------------------------------------------

    @rule(day=st.sampled_from(DAYS), slug=st.sampled_from(SLUGS))
    def add_or_remove_a_post(self, day: str, slug: str) -> None:
        name = f"posts/{day}-{slug}.md"
        if name in self.posts:
            self.remove(name)
            del self.posts[name]
        else:
            self.write_post(name, Post())
        self.check()

    @precondition(lambda self: self.posts)
    @rule(data=st.data(), part=st.sampled_from(EDITS))
    def edit_a_post(self, data: st.DataObject, part: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.posts)))
        choices = {
            "body": BODIES,
            "title": TITLES,
            "tags": TAGS,
            "draft": ("false", "true"),
            "summary": ("", "Short"),
        }
        post = self.posts[name]
        post.parts[part] = data.draw(st.sampled_from(choices[part]))
        self.write_post(name, post)
        self.check()

    @precondition(lambda self: self.posts)
    @rule(data=st.data())
    def edit_within_the_same_second_and_size(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.posts)))
        post, path = self.posts[name], self.project / name
        before = path.stat()
        other = {BODIES[0]: BODIES[1], BODIES[1]: BODIES[0]}.get(post.parts["body"])
        if other is None:
            return
        post.parts["body"] = other
        with path.open("r+b") as file:  # the same inode too
            file.write(post.text().encode())
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        self.check()

    @precondition(lambda self: self.posts)
    @rule(data=st.data(), day=st.sampled_from(DAYS), slug=st.sampled_from(SLUGS))
    def rename_a_post(self, data: st.DataObject, day: str, slug: str) -> None:
        old = data.draw(st.sampled_from(sorted(self.posts)))
        new = f"posts/{day}-{slug}.md"
        (self.project / old).rename(self.project / new)
        self.posts[new] = self.posts.pop(old)
        self.check()

    @precondition(lambda self: self.was)
    @rule(data=st.data())
    def revert_a_file(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.was)))
        content = self.was[name]
        if name.startswith("posts/2026"):
            return
        self.remove(name) if content is None else self.write_file(name, content)
        self.check()

    @rule(data=st.data(), name=st.sampled_from(sorted(TEMPLATES)))
    def change_a_template(self, data: st.DataObject, name: str) -> None:
        self.choose(data, f"site/templates/{name}", TEMPLATES[name])

    @rule(data=st.data(), name=st.sampled_from(sorted(PAGES)))
    def change_a_page(self, data: st.DataObject, name: str) -> None:
        self.choose(data, f"site/pages/{name}", PAGES[name])

    @rule(data=st.data(), name=st.sampled_from(sorted(FILES)))
    def change_a_file(self, data: st.DataObject, name: str) -> None:
        self.choose(data, name, FILES[name])

    @rule(setting=st.sampled_from(SETTINGS))
    def change_a_setting(self, setting: dict[str, Any]) -> None:
        if setting.keys() & self.settings.keys():
            self.settings = {key: value for key, value in self.settings.items() if key not in setting}
        else:
            self.settings.update(setting)
        self.check()

    @rule(days=st.sampled_from((-30, -1, 1, 30)))
    def move_the_clock(self, days: int) -> None:
        self.clock += timedelta(days=days)
        self.check()

    @rule(flag=st.sampled_from(("drafts", "future")))
    def include_more_or_less(self, flag: str) -> None:
        self.flags[flag] = not self.flags.get(flag)
        self.check()

    # --- what happens to what was built --------------------------------------------------------------------------

    @rule()
    def nothing(self) -> None:
        self.check()

    @rule(data=st.data(), how=st.sampled_from(("remove", "change", "add", "same times")))
    def meddle_with_the_site(self, data: st.DataObject, how: str) -> None:
        shown = self.project / "build/site"
        files = sorted(path for path in shown.rglob("*") if path.is_file()) if shown.exists() else []
        if not files:
            return
        path = data.draw(st.sampled_from(files))
        if how == "remove":
            path.unlink()
        elif how == "add":
            write(path.parent, {"stray.html": "stray", "folder/stray.html": "stray"})
        else:
            at = path.stat()
            path.write_bytes(bytes(reversed(path.read_bytes())))
            if how == "same times":
                os.utime(path, ns=(at.st_atime_ns, at.st_mtime_ns))
        self.check()

    @rule(data=st.data(), cut=st.booleans())
    def break_what_is_remembered(self, data: st.DataObject, cut: bool) -> None:
        memory = sorted(path for path in (self.project / "build/.press").glob("*") if path.is_file())
        if not memory:
            return
        path = data.draw(st.sampled_from(memory))
        content = path.read_bytes()
        middle = len(content) // 2
        path.write_bytes(content[:middle] + (b"" if cut else b"\xff" + content[middle + 1 :]))
        self.check()

    @precondition(lambda self: self.posts)
    @rule(data=st.data(), acts=st.integers(0, 60))
    def crash_in_the_middle(self, data: st.DataObject, acts: int) -> None:
        """The build of an edit ends without a word before one of its acts on the disk; the next one is right."""
        name = data.draw(st.sampled_from(sorted(self.posts)))
        post = self.posts[name]
        post.parts["title"] = data.draw(st.sampled_from(TITLES))
        self.write_post(name, post)
        before = self.shown()
        after = self.clean_site()
        in_child(lambda: self.publish(1), acts)
        assert self.shown() in (before, None if isinstance(after, str) else after)
        self.check()

    @rule(one_in_eight=st.integers(0, 7))
    def build_with_four_workers(self, one_in_eight: int) -> None:
        if one_in_eight == 0:
            self.check(workers=4)

    # --- the check -----------------------------------------------------------------------------------------------

    def check(self, workers: int = 1) -> None:
        """Both builds give the same tree, or the same error, which leaves the site as it was."""
        clean = self.clean_site()
        before = self.shown()
        try:
            self.publish(workers)
        except TagshipError as error:
            assert str(error) == clean
            assert self.shown() == before
        else:
            assert self.shown() == clean
            assert not [path for path in (self.project / "build/site").resolve().rglob("*") if is_empty(path)]

    def clean_site(self) -> dict[str, tuple[int, bytes]] | str:
        """What a build from nothing makes: the files, or the error's words."""
        out = self.folder / "clean"
        try:
            build(self.project, out, site(**self.settings), clock=self.clock, workers=1, **self.flags)
            return snapshot(out)
        except TagshipError as error:
            return str(error)
        finally:
            shutil.rmtree(out, ignore_errors=True)

    def publish(self, workers: int) -> None:
        publish(self.project, site(**self.settings), clock=self.clock, workers=workers, **self.flags)

    def shown(self) -> dict[str, tuple[int, bytes]] | None:
        link = self.project / "build/site"
        if not link.exists():
            return None
        return snapshot(link.resolve())

    def choose(self, data: st.DataObject, name: str, contents: tuple[str, ...] | tuple[bytes, ...]) -> None:
        content = data.draw(st.sampled_from((None, *contents)))
        if content is None:
            self.remove(name)
        else:
            self.write_file(name, content.encode() if isinstance(content, str) else content)
        self.check()

    def write_post(self, name: str, post: Post) -> None:
        self.posts[name] = post
        write(self.project, {name: post.text()})

    def write_file(self, name: str, content: bytes) -> None:
        path = self.project / name
        self.was[name] = path.read_bytes() if path.exists() else None
        write(self.project, {name: content})

    def remove(self, name: str) -> None:
        path = self.project / name
        self.was[name] = path.read_bytes() if path.exists() else None
        path.unlink(missing_ok=True)


def is_empty(path: Path) -> bool:
    """Whether it is a folder with nothing in it."""
    return path.is_dir() and not any(path.iterdir())


def in_child(work: Callable[[], None], acts: int) -> None:
    """Do `work` in a child of ours that is gone before its act number `acts` on the disk."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    left = acts

    def count(event: str, _args: object) -> None:
        nonlocal left
        if event in {
            "open",
            "os.rename",
            "os.remove",
            "os.rmdir",
            "os.mkdir",
            "os.link",
            "os.symlink",
            "os.truncate",
        }:
            left -= 1
            if left < 0:
                os._exit(9)

    try:
        sys.addaudithook(count)
        work()
    finally:
        os._exit(0)
