"""A pushed tag goes live: the steps of publish.yml, run in order as GitHub runs them, from a push to real hosts."""

from __future__ import annotations

import datetime as dt
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from workflows.forge import serving
from workflows.runner import Job, Repository

import tagship
from lab.host import Host
from tagship.scaffold import init

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]
PUBLISH = ".github/workflows/publish.yml"
TOKEN = "ghs-only-this-job-may-know"
BUILT, KEY, DEPLOYED = "Check the tag and build it", "Take the key and the hosts' keys", "Deploy the tag"
STEPS = ["actions/checkout", "actions/setup-python", "Fetch the tag itself", "Install", BUILT, KEY, DEPLOYED]


def git(folder: Path, *argv: str) -> str:
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main"]
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    return subprocess.run(
        ["git", *who, *argv], cwd=folder, env=env, capture_output=True, text=True, check=True
    ).stdout


@dataclass(frozen=True)
class Project:
    """A clone that somebody works in, and its private origin on a forge, whose workflow runs when a tag is pushed."""

    work: Path
    origin: Repository
    hosts: Sequence[Host]

    def begin(self, text: str) -> str:
        """Write `text` as tagship.yml, with a stage of the hosts in it, and make them ready; what was written.

        It says nothing of keys: each machine that deploys has its own.
        """
        lines = [f"      - {{host: {host.address}, name: {host.name}}}" for host in self.hosts]
        stage = "\n".join(["", "stages:", "  production:", "    hosts:", *lines, ""])
        settings = text.replace("\nstages:\n", stage, 1)
        (self.work / "tagship.yml").write_text(settings)
        config = self.work.with_suffix(".ssh")
        host = self.hosts[0]
        config.write_text(f"IdentityFile {host.identity}\nUserKnownHostsFile {host.known_hosts}\n")
        fab = str(Path(sys.executable).with_name("fab"))
        subprocess.run(
            [fab, "setup", "--stage", "production", "--key", str(self.work.with_suffix(".key.pub"))],
            cwd=self.work,
            env={**os.environ, "TAGSHIP_SSH_CONFIG": str(config)},
            check=True,
        )
        return settings

    def push(self, tag: str, **files: str) -> Job:
        """Write `files`, commit all, tag the commit and push both; what the workflow's job then did."""
        for path, text in files.items():
            self.work.joinpath(path).write_text(text)
        git(self.work, "add", "--all")
        git(self.work, "commit", "--quiet", "-m", f"Work on {tag}")
        git(self.work, "tag", "--annotate", tag, "-m", f"Release {tag}")
        git(self.work, "push", "--quiet", "origin", "HEAD:main", f"refs/tags/{tag}")
        job = self.origin.pushed(tag, PUBLISH)["publish"]
        self.tells_no_secret(job)
        return job

    def tells_no_secret(self, job: Job) -> None:
        """GitHub would mask them; we don't say them in the first place."""
        secrets = [line for value in self.origin.secrets.values() for line in value.splitlines() if len(line) > 20]
        for secret in (TOKEN, *secrets):
            assert secret not in job.log + job.summary

    def live(self) -> list[str]:
        """What a visitor of each host reads on the first page."""
        pages = []
        for host in self.hosts:
            with urllib.request.urlopen(f"http://{host.address}/", timeout=20) as answer:
                found = re.search(r"<title>(.*?)</title>", answer.read().decode())
                assert found
                pages.append(found[1])
        return pages


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[str]:
    """The address of the forge that serves `tmp_path/git`."""
    (tmp_path / "git").mkdir()
    with serving(tmp_path / "git", token=TOKEN) as url:
        yield url


@pytest.fixture
def project(tmp_path: Path, forge: str, hosts: Callable[[int], list[Host]]) -> Callable[[str], Project]:
    """Make the project called so: an empty clone of an empty origin that knows a new key, and three bare hosts."""

    def make(name: str) -> Project:
        three = hosts(3)
        bare, work, key = tmp_path / "git" / f"private-{name}.git", tmp_path / name, tmp_path / f"{name}.key"
        git(tmp_path, "init", "--quiet", "--bare", str(bare))
        git(tmp_path, "clone", "--quiet", str(bare), str(work))
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ci", "-f", str(key)], check=True)
        repository = Repository(
            url=f"{forge}/{bare.name}",
            bare=bare,
            vars={"TAGSHIP": f"{forge}/tagship.git", "DEPLOY_STAGE": "production"},
            secrets={"DEPLOY_KEY": key.read_text().strip(), "DEPLOY_KNOWN_HOSTS": three[0].known_hosts.read_text()},
            token=TOKEN,
            folder=tmp_path / "runners",
            stands_for={"./.github/workflows/ci.yml": "runs the tests, of which this is one"},
        )
        return Project(work, repository, three)

    return make


def copy_ourselves(to: Path) -> None:
    """The files of this checkout, as they are now."""
    listed = git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def publish_ourselves(folder: Path) -> None:
    """A public repository of tagship, with the tag that a new project's workflows install."""
    folder.mkdir()
    copy_ourselves(folder)
    git(folder, "init", "--quiet", ".")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "As it is")
    git(folder, "tag", "--annotate", f"v{tagship.__version__}", "-m", "As it is")
    git(folder, "clone", "--quiet", "--bare", ".", str(folder.parent / "git" / "tagship.git"))


def ended(job: Job) -> dict[str, str]:
    """How each step ended, by the names in STEPS."""
    assert [name for name in job.conclusions() if not name.startswith("Install")] == [
        n for n in STEPS if n != "Install"
    ]
    return job.conclusions()


def test_a_new_projects_tags_go_live_and_bad_ones_do_not(tmp_path: Path, project: Callable[[str], Project]) -> None:
    """`tagship init`, a pushed tag, and three hosts serve it; so the next. A bad one fails the job, its page says
    why, and the hosts serve on what they served; one that can't even be built never gets to see the key."""
    publish_ourselves(tmp_path / "tagship")
    blog = project("blog")
    init.write(blog.work, today=dt.date(2026, 3, 4), name="blog")
    settings = blog.begin((blog.work / "tagship.yml").read_text())

    first = blog.push("v0.1.0")
    assert first.conclusion == "success", first.log
    assert set(ended(first).values()) == {"success"}
    assert first.environment == "production"
    assert first.concurrency == {"group": "publish-production", "cancel-in-progress": "false"}
    assert first.temp == {"ssh/key": 0o600, "ssh/known_hosts": 0o600, "ssh/config": 0o600}
    assert "lightweight" not in first.log
    assert blog.live() == ["Blog"] * 3
    assert "## v0.1.0 is live on production" in first.summary
    assert all(f"| lab{number} | 0001-v0.1.0 | live |" in first.summary for number in (1, 2, 3))
    assert "deploy v0.1.0 as 0001-v0.1.0 to production (lab1, lab2, lab3)" in first.summary
    journal = blog.hosts[2].run("cat", "/srv/blog/state/journal.jsonl").stdout
    assert '"octocat (run 4711)"' in journal

    second = blog.push("v0.2.0", **{"tagship.yml": settings.replace('title: "Blog"', 'title: "Second"')})
    assert second.conclusion == "success", second.log
    assert blog.live() == ["Second"] * 3
    assert "| before | 0001-v0.1.0 |" in second.summary
    assert re.search(r"URLs: 0 added, \d+ changed, 0 gone", second.summary)

    bad = blog.push("v0.3.0", **{"site/wsgi.py": "raise RuntimeError('broken on purpose')\n"})
    assert bad.conclusion == "failure"
    assert (ended(bad)[KEY], ended(bad)[DEPLOYED]) == ("success", "failure")
    assert blog.live() == ["Second"] * 3
    assert "## v0.3.0 didn't go live on production: restored" in bad.summary
    assert "RuntimeError: broken on purpose" in bad.summary
    assert all(f"| lab{number} | 0002-v0.2.0 | as it was before |" in bad.summary for number in (1, 2, 3))

    unfit = blog.push("v0.4.0", **{"posts/2026-03-05-next.md": "---\ntitel: Next\n---\n"})
    assert unfit.conclusion == "failure"
    assert (ended(unfit)[BUILT], ended(unfit)[KEY], ended(unfit)[DEPLOYED]) == ("failure", "skipped", "skipped")
    assert "## v0.4.0 can't ship" in unfit.summary
    assert "2026-03-05-next.md" in unfit.summary
    assert blog.live() == ["Second"] * 3


def test_our_own_site_goes_live(project: Callable[[str], Project]) -> None:
    """The same for this repository, by its own publish.yml: the tag's own tagship puts the tag's site live."""
    ours = project("tagship")
    copy_ourselves(ours.work)
    ours.begin((ours.work / "tagship.yml").read_text())
    job = ours.push("v99.0.0")
    assert job.conclusion == "success", job.log
    assert set(ended(job).values()) == {"success"}
    assert ours.live() == ["tagship"] * 3
    assert all(f"| lab{number} | 0001-v99.0.0 | live |" in job.summary for number in (1, 2, 3))
