"""The projects that are served: a WSGI application, an ASGI application and nothing but a site, all with a page."""

from __future__ import annotations

import hashlib
import random
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench import timing
from bench.project import git, tag

INV = str(Path(sys.executable).with_name("inv"))
FILES = Path(__file__).with_name("files")
STARTS = {
    "wsgi": "gunicorn --bind unix:{socket} --workers 2 --threads 8 app:app",
    "asgi": "uvicorn --uds {socket} --no-access-log --log-level warning app:app",
}
SERVERS = {"wsgi": "gunicorn", "asgi": "uvicorn", "static": "nginx alone"}
PAGE = "/page/"
DOWNLOAD, DOWNLOAD_BYTES = "/download.bin", 8_000_000
PROBE_SECONDS = 5
MEMORY = "256M"


@dataclass(frozen=True)
class Project:
    """A project in `home`, whose every release says its tag in all that it answers."""

    kind: str
    home: Path
    stage: Mapping[str, object] | None
    """None: another tool deploys it."""
    carries_site: bool = False
    """Whether its tags contain the built site, for tools that build none."""

    @property
    def name(self) -> str:
        """Of its stage."""
        return str(self.stage["name"]) if self.stage else ""

    @property
    def root(self) -> str:
        """The stage's folder on its host."""
        return str(self.stage["root"]) if self.stage else ""

    @property
    def paths(self) -> list[str]:
        """What the load asks for."""
        return [PAGE] if self.kind == "static" else ["/hello", PAGE]

    @property
    def download_digest(self) -> str:
        return hashlib.sha256((self.home / f"site/static{DOWNLOAD}").read_bytes()).hexdigest()

    def write(self) -> None:
        """Write it into its home, made here; no tag yet."""
        for folder in ("site/pages", "site/assets", "site/static", "site/templates", "posts"):
            (self.home / folder).mkdir(parents=True)
        if self.kind == "static":
            (self.home / f"site/static{DOWNLOAD}").write_bytes(random.Random(3).randbytes(DOWNLOAD_BYTES))
        else:
            for name in ("app.py", "requirements.lock"):
                shutil.copyfile(FILES / self.kind / name, self.home / name)
        shutil.copyfile(FILES / "site/index.html", self.home / "site/templates/page.html")
        (self.home / "site/pages/page.md").write_text("---\ntitle: A page\n---\n")
        (self.home / "fabfile.py").write_text(
            "from tagship.verbs.hosts import *\nfrom tagship.verbs.setup import setup\n"
        )
        (self.home / "tasks.py").write_text("from tagship.verbs.local import build\n")
        (self.home / ".gitignore").write_text(".tagship/\nbuild/\n__pycache__/\n")
        git(self.home, "init", "--quiet", "--initial-branch=main")

    def release(self, name: str, *, change: Mapping[str, str] | None = None, start: str = "") -> None:
        """Make the tag `name`: it says so in page, assets and application. `change`s of the code are for it alone."""
        self._write_settings(start or STARTS.get(self.kind, ""))
        page = self.home / "site/templates/page.html"
        page.write_text(re.sub(r"tag=\S+", f"tag={name}", page.read_text()))
        for asset in ("style.css", "app.js"):
            (self.home / "site/assets" / asset).write_text(f"/* tag={name} */\n" + "/* filling */\n" * 1000)
        if self.kind != "static":
            code = re.sub(r'^TAG = ".*"$', f'TAG = "{name}"', (FILES / self.kind / "app.py").read_text(), flags=re.M)
            for old, new in (change or {}).items():
                if old not in code:
                    raise SystemExit(f"app.py of {self.kind} has no {old!r}")
                code = code.replace(old, new)
            (self.home / "app.py").write_text(code)
        if self.carries_site:
            shutil.rmtree(self.home / "public", ignore_errors=True)
            timing.run([INV, "build", "--out", "public"], self.home)
        tag(self.home, name)

    def _write_settings(self, start: str) -> None:
        app: dict[str, object] = {"name": self.kind, "probe": {"path": PAGE}}
        if self.kind != "static":
            app |= {"start": shlex.split(start), "probe": {"path": "/hello", "timeout": PROBE_SECONDS}}
        settings: dict[str, object] = {
            "app": app,
            "site": {"title": "Served", "url": "http://www.example.org"},
        }
        if self.stage:
            stage = {key: value for key, value in self.stage.items() if key != "name"}
            settings["stages"] = {str(self.stage["name"]): stage}
        (self.home / "tagship.yml").write_text(yaml.safe_dump(settings, width=1000))
