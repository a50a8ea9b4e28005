"""`python -m browser [FOLDER]`: look at the sample site, or at one built into FOLDER, and tell what is wrong."""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from browser import axe, looking, sample
from browser.chromium import BrowserError, Chromium
from tagship import config
from tagship.press.build import build
from tagship.report import Report

PICTURES = Path("docs/screenshots")
CLOCK = datetime(2026, 11, 20, tzinfo=UTC)
SHAPES = {shape.name: shape for shape in looking.SHAPES}
WANTED = {
    "front-light": ("/", replace(SHAPES["desktop-light"], width=960, height=640)),
    "post-dark": ("/2026/11/everything/", replace(SHAPES["desktop-dark"], width=960, height=640)),
    "post-narrow": ("/2026/11/everything/", SHAPES["narrow-light"]),
    "post-print": ("/2026/11/everything/", SHAPES["print-light"]),
}


def main(argv: list[str]) -> int:
    """Look, tell, and leave with 0 where nothing is wrong, else 3; 2 where something is missing."""
    report = Report()
    pictures = "--pictures" in argv
    folders = [word for word in argv if not word.startswith("--")]
    began = time.monotonic()
    try:
        script = axe.script()
        with tempfile.TemporaryDirectory(prefix="browser-") as scratch, Chromium() as browser:
            folder = Path(folders[0]) if folders else _build(Path(scratch))
            looked = _look(browser, folder, script, pictures=pictures)
    except (axe.AxeError, BrowserError) as error:
        report.lines(f"error: {error}")
        return 2
    for found in looked.violations:
        report.lines(
            f"{found.url} ({found.shape}): {found.rule}: {found.text}", *(f"    {e}" for e in found.elements)
        )
    open_rules = ", ".join(f"{rule} ({count})" for rule, count in looked.undecided) or "none"
    report.lines(
        f"axe-core {axe.VERSION}: {looked.views} views, {looked.passes} rules passed, "
        f"{len(looked.violations)} violations, {time.monotonic() - began:.0f} s",
        f"not decided by it: {open_rules}",
    )
    return 3 if looked.violations else 0


def _build(scratch: Path) -> Path:
    sample.write(scratch / "project")
    site = config.load(scratch / "project/tagship.yml").site
    assert site is not None
    build(scratch / "project", scratch / "site", site, clock=CLOCK)
    return scratch / "site"


def _look(browser: Chromium, folder: Path, script: str, *, pictures: bool) -> looking.Looked:
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.html"))
    urls = [f"/{name.removesuffix('index.html')}" for name in names]
    with looking.served(folder) as root:
        if pictures:
            looking.photograph(browser, root, WANTED, PICTURES)
        return looking.look(browser, root, urls, script)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
