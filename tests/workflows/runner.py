"""Runs a workflow as GitHub would, on this machine, and refuses whatever it doesn't know.

Every `run:` step is a bash of its own with the flags, the environment and the files (GITHUB_ENV and its like) that
GitHub documents. Of `uses:`, only those in `ACTIONS` are known, each by an equivalent that takes only the inputs
whose meaning it has; a called workflow counts only if the caller says what it stands for. Expressions see the
contexts that GitHub has in that place, and no others.
"""

from __future__ import annotations

import base64
import fnmatch
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from workflows.expressions import Contexts, Unknown, holds, interpolate

SHELLS = {"": ["bash", "-e"], "bash": ["bash", "--noprofile", "--norc", "-eo", "pipefail"]}
"""What runs a step's script: without `shell:`, and with `shell: bash`."""

_WORKFLOW = {"name", "on", "permissions", "jobs"}
_JOB = {
    *("name", "needs", "if", "runs-on", "timeout-minutes", "environment", "concurrency", "permissions"),
    *("defaults", "env", "steps", "uses"),
}
_STEP = {"name", "uses", "with", "env", "run", "if"}
_AT_JOB = ("github", "needs", "vars")
_AT_STEP = ("github", "needs", "runner", "env", "vars", "secrets")


@dataclass
class Step:
    """What became of one step."""

    name: str
    conclusion: str
    log: str = ""


@dataclass
class Job:
    """What became of one job."""

    name: str
    conclusion: str
    steps: list[Step] = field(default_factory=list)
    summary: str = ""
    """What the job's page shows."""
    temp: dict[str, int] = field(default_factory=dict)
    """Files that lay in RUNNER_TEMP when the job ended, and their modes."""
    environment: str = ""
    concurrency: Mapping[str, str] = field(default_factory=dict)

    @property
    def log(self) -> str:
        return "\n".join(step.log for step in self.steps)

    def conclusions(self) -> dict[str, str]:
        return {step.name: step.conclusion for step in self.steps}


@dataclass(frozen=True)
class Repository:
    """A repository with its settings, and where its runners keep what they need."""

    url: str
    """What actions/checkout fetches from, with `token` as a password."""
    bare: Path
    vars: Mapping[str, str]
    secrets: Mapping[str, str]
    token: str
    folder: Path
    """Where each job gets a new machine, so to speak."""
    stands_for: Mapping[str, str] = field(default_factory=dict)
    """Called workflows that need not run here, and why."""

    def pushed(self, tag: str, workflow: str, *, commit: str = "") -> dict[str, Job]:
        """What happens in `workflow` when `tag` is pushed: its jobs in their order. It is read from the tag.

        `commit` is what the tag named when it was pushed, where it names another one by now.
        """
        text = _git(self.bare, "show", f"refs/tags/{tag}:{workflow}")
        # All values stay texts: what YAML 1.1 makes of `on` is no key of GitHub's.
        content = yaml.load(text, Loader=yaml.BaseLoader)
        _known(content, _WORKFLOW, workflow)
        if not any(fnmatch.fnmatchcase(tag, pattern) for pattern in content["on"]["push"]["tags"]):
            return {}
        run = _Run(self, tag, commit or _git(self.bare, "rev-parse", f"refs/tags/{tag}^{{commit}}").strip())
        for name, job in content["jobs"].items():
            run.job(name, job)
        return run.jobs


class _Run:
    def __init__(self, repository: Repository, tag: str, commit: str) -> None:
        self.repository = repository
        self.jobs: dict[str, Job] = {}
        self.github = {
            "actor": "octocat",
            "event_name": "push",
            "repository": "you/site",
            "run_id": "4711",
            "sha": commit,
            "ref": f"refs/tags/{tag}",
            "ref_name": tag,
            "ref_type": "tag",
            "server_url": "https://github.test",
        }

    def contexts(self, names: tuple[str, ...], **more: Mapping[str, str]) -> Contexts:
        every: dict[str, Mapping[str, str]] = {
            "github": {**self.github, "token": self.repository.token},
            "needs": {f"{name}.result": job.conclusion for name, job in self.jobs.items()},
            "vars": self.repository.vars,
            "secrets": {**self.repository.secrets, "GITHUB_TOKEN": self.repository.token},
            **more,
        }
        return {name: every[name] for name in names}

    def job(self, name: str, content: Mapping[str, Any]) -> None:
        _known(content, _JOB, name)
        needs = content.get("needs", [])
        needed = [self.jobs[other] for other in ([needs] if isinstance(needs, str) else needs)]
        well = all(job.conclusion == "success" for job in needed)
        contexts = self.contexts(_AT_JOB)
        if not holds(content.get("if", "success()"), contexts, _functions(well)):
            self.jobs[name] = Job(name, "skipped")
            return
        if "uses" in content:
            if content["uses"] not in self.repository.stands_for:
                raise Unknown(f"uses: {content['uses']}")
            self.jobs[name] = Job(name, "success")
            return
        job = self.jobs[name] = Job(name, "success")
        job.environment = interpolate(content.get("environment", ""), contexts)
        job.concurrency = {k: interpolate(v, contexts) for k, v in content.get("concurrency", {}).items()}
        env = {k: interpolate(v, self.contexts((*_AT_JOB, "secrets"))) for k, v in content.get("env", {}).items()}
        machine = _Machine(self, job, env, content.get("defaults", {}).get("run", {}))
        for number, step in enumerate(content["steps"], 1):
            machine.step(number, step)
        machine.end()


class _Machine:
    """A fresh runner: its workspace, its temporary folder, its home, and what the steps leave each other."""

    def __init__(self, run: _Run, job: Job, env: Mapping[str, str], defaults: Mapping[str, str]) -> None:
        _known(defaults, {"shell"}, "defaults.run")
        self.run = run
        self.job = job
        self.env = dict(env)
        self.flags = SHELLS[defaults.get("shell", "")]
        self.path = os.environ["PATH"].split(os.pathsep)
        self.top = run.repository.folder / run.github["ref_name"].replace("/", "-") / job.name
        self.workspace, self.temp, self.home = (self.top / name for name in ("site", "_temp", "home"))
        for folder in (self.workspace, self.temp, self.home):
            folder.mkdir(parents=True)

    def step(self, number: int, content: Mapping[str, Any]) -> None:
        _known(content, _STEP, f"step {number}")
        name = content.get("name") or content.get("uses", "").partition("@")[0] or f"step {number}"
        runner = {"temp": str(self.temp), "os": "Linux"}
        contexts = self.run.contexts(_AT_STEP, env=self.env, runner=runner)
        well = self.job.conclusion == "success"
        asked = {key: value for key, value in contexts.items() if key != "secrets"}
        if not holds(content.get("if", "success()"), asked, _functions(well)):
            self.job.steps.append(Step(name, "skipped"))
            return
        env = {key: interpolate(value, contexts) for key, value in content.get("env", {}).items()}
        given = {key: interpolate(value, contexts) for key, value in content.get("with", {}).items()}
        if "uses" in content:
            known = ACTIONS.get(content["uses"].partition("@")[0])
            if known is None:
                raise Unknown(f"uses: {content['uses']}")
            known(self, given)
            done = Step(name, "success")
        else:
            done = self.bash(name, interpolate(content["run"], contexts), env)
        self.job.steps.append(done)
        if done.conclusion == "failure":
            self.job.conclusion = "failure"

    def bash(self, name: str, script: str, env: Mapping[str, str]) -> Step:
        files = {kind: self.top / f"{kind}-{len(self.job.steps)}" for kind in ("ENV", "PATH", "STEP_SUMMARY")}
        for file in files.values():
            file.touch()
        text = self.top / f"step-{len(self.job.steps)}.sh"
        text.write_text(script)
        given = {f"GITHUB_{kind}": str(file) for kind, file in files.items()}
        done = subprocess.run(
            [*self.flags, str(text)],
            cwd=self.workspace,
            env={**self.surroundings(), **self.env, **env, **given},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=600,
            check=False,
        )
        for line in files["ENV"].read_text().splitlines():
            key, equals, value = line.partition("=")
            if not equals:
                raise Unknown(f"GITHUB_ENV: {line}")
            self.env[key] = value
        self.path = [*reversed(files["PATH"].read_text().splitlines()), *self.path]
        self.job.summary += files["STEP_SUMMARY"].read_text()
        return Step(name, "failure" if done.returncode else "success", done.stdout)

    def surroundings(self) -> dict[str, str]:
        """What GitHub sets, and what this machine needs to reach its package index; nothing else of ours."""
        github = {f"GITHUB_{name.upper()}": value for name, value in self.run.github.items()}
        ours = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(("PIP_", "SSL_CERT_")) or name in {"REQUESTS_CA_BUNDLE"}
        }
        cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        return {
            **ours,
            **github,
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(self.workspace),
            "RUNNER_TEMP": str(self.temp),
            "RUNNER_OS": "Linux",
            "LANG": "C.UTF-8",
            "HOME": str(self.home),
            "PATH": os.pathsep.join(self.path),
            "XDG_CACHE_HOME": cache,
            "PIP_NO_COMPILE": "1",  # only to save the test's time
        }

    def checkout(self, given: Mapping[str, str]) -> None:
        """As actions/checkout of all history did it before 6.0.2: the pushed tag is fetched again, by its commit."""
        if given != {"fetch-depth": "0", "persist-credentials": "false"}:
            raise Unknown(f"actions/checkout with {given}")
        repository, tag = self.run.repository, self.run.github["ref"]
        pair = base64.b64encode(f"x-access-token:{repository.token}".encode()).decode()
        header = f"http.{repository.url}.extraheader"
        _git(self.workspace, "init", "--quiet", ".")
        _git(self.workspace, "remote", "add", "origin", repository.url)
        _git(self.workspace, "config", "--local", header, f"AUTHORIZATION: basic {pair}")
        fetch = ("fetch", "--quiet", "--no-tags", "--prune", "--no-recurse-submodules", "origin")
        _git(self.workspace, *fetch, "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
        _git(self.workspace, *fetch, f"+{self.run.github['sha']}:{tag}")
        _git(self.workspace, "checkout", "--quiet", "--force", tag)
        _git(self.workspace, "config", "--local", "--unset-all", header)
        if _git(self.workspace, "cat-file", "-t", tag).strip() != "commit":
            raise AssertionError("the tag's object survived the checkout: nothing is left to be mended")

    def setup_python(self, given: Mapping[str, str]) -> None:
        """A `python` of its own first on PATH; of the version that the tests run with, whichever is asked for."""
        if set(given) != {"python-version"}:
            raise Unknown(f"actions/setup-python with {given}")
        folder = self.top / "python"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        self.path = [str(folder / "bin"), *self.path]

    def end(self) -> None:
        """Note what lies in RUNNER_TEMP, then empty it, as GitHub does."""
        ssh = [path for path in self.temp.glob("ssh/*") if path.is_file()]
        self.job.temp = {str(path.relative_to(self.temp)): stat.S_IMODE(path.stat().st_mode) for path in ssh}
        shutil.rmtree(self.temp)


ACTIONS: Mapping[str, Callable[[_Machine, Mapping[str, str]], None]] = {
    "actions/checkout": _Machine.checkout,
    "actions/setup-python": _Machine.setup_python,
}


def _functions(well: bool) -> dict[str, Callable[[], bool]]:
    return {"success": lambda: well, "failure": lambda: not well, "always": lambda: True, "cancelled": lambda: False}


def _known(content: Mapping[str, Any], keys: set[str], where: str) -> None:
    if odd := set(content) - keys:
        raise Unknown(f"{', '.join(sorted(odd))} in {where}")


def _git(folder: Path, *argv: str) -> str:
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
    return subprocess.run(["git", *argv], cwd=folder, env=env, capture_output=True, text=True, check=True).stdout
