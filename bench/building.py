"""Builds of N posts of 3 KB, whole processes, beside the bare cost of converting the same texts."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from bench import posts, timing

INV = str(Path(sys.executable).with_name("inv"))
COUNT = 1000

_FLOOR = """
import sys
from pathlib import Path
import markdown
quick = {"codehilite": {"guess_lang": False}}
md = markdown.Markdown(extensions=["extra", "toc", "smarty", "codehilite"], extension_configs=quick)
for path in sorted(Path(sys.argv[1]).glob("*.md")):
    md.reset()
    md.convert(path.read_text().split("---", 2)[2])
"""


def main(folder: Path, times: int) -> None:
    """Measure in `folder`, `times` times, and print the table."""
    home = folder / "blog"
    home.mkdir()
    posts.write_posts(COUNT, home / "posts")
    (home / "tasks.py").write_text("from tagship.verbs.local import build, clean, new, serve\n")
    (home / "tagship.yml").write_text(
        "app: {name: blog, start: 'true {socket}'}\nsite: {title: Blog, url: 'https://blog.example.org'}\n"
    )
    clock = {"SOURCE_DATE_EPOCH": "1790000000"}

    def build(_number: int) -> float:
        shutil.rmtree(home / "build", ignore_errors=True)
        return timing.run([INV, "build"], home, env=clock)[0]

    def convert(_number: int) -> float:
        return timing.run([sys.executable, "-c", _FLOOR, str(home / "posts")], home)[0]

    floor = timing.repeat("Python-Markdown alone, one process", times, convert, "no templates, no pages")
    timing.table(f"Building {COUNT:,} posts of 3 KB, cold", [timing.repeat("inv build", times, build), floor], floor)
