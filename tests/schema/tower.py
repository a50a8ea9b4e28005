"""Releases of a story on one host, and its real agent, which moves their databases straight from any to any other."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from postgres import Postgres
from schema import small
from schema.story import ALIASES, schemas
from unit.host import schemas as hosts
from unit.host.client import Agent, Host, Release
from unit.host.conftest import fresh_host

POLLS = {"kind": "django", "name": "default", "databases": list(ALIASES), "settings": "pollsite.settings"}


@dataclass(frozen=True)
class Story:
    """What is told: trees by tag, in order, and how their schema is moved."""

    name: str
    trees: Mapping[str, Mapping[str, str]]
    item: Mapping[str, Any]
    variables: Mapping[str, str]
    """What each database's URL is called in the environment."""

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(self.trees)


def polls(repository: Path, tags: Sequence[str]) -> Story:
    """The example's releases, from a repository that has them."""
    trees = {}
    for tag in tags:
        names = subprocess.run(
            ["git", "ls-tree", "-r", "--name-only", tag], cwd=repository, capture_output=True, text=True, check=True
        ).stdout.split()
        trees[tag] = {
            name: subprocess.run(
                ["git", "show", f"{tag}:{name}"], cwd=repository, capture_output=True, text=True, check=True
            ).stdout
            for name in names
        }
    return Story("polls", trees, POLLS, ALIASES)


def books(kind: str) -> Story:
    """The smaller story, by `alembic` or `sql`."""
    trees: dict[str, dict[str, str]] = {}
    files: dict[str, str] = {}
    for tag in small.TAGS:
        files = {**files, **small.files(kind, tag)}
        trees[tag] = files
    return Story(kind, trees, small.settings(kind), {"books": small.URL})


class Tower:
    """All releases of a story, staged on one host, and their databases."""

    def __init__(self, host: Host, postgres: Postgres, story: Story) -> None:
        self.story = story
        self.postgres = postgres
        self.names = {alias: f"{story.name}_{alias}" for alias in story.variables}
        self.urls = {alias: postgres.create(name) for alias, name in self.names.items()}
        self._host = host
        env = {story.variables[alias]: url for alias, url in self.urls.items()}
        self._agent: Agent = hosts.agent_of(host, urls={"SECRET_KEY": "only-for-tests", **env})
        self._env = env
        self._releases: dict[str, Release] = {}
        for serial, (tag, files) in enumerate(story.trees.items(), 1):
            made = Release(
                serial,
                tag,
                {f"app/{path}": text.encode() for path, text in files.items()},
                start=[],
                env=".env",
                schema=[dict(story.item)],
            )
            self._releases[tag] = hosts.stage(host, self._agent, made)
        self._code = {tag: self._steps(tag) for tag in story.tags}
        self.moved = 0
        """Steps that went up or down."""

    def move(self, old: str | None, new: str) -> None:
        """From `old`, which is what is applied, straight to `new`: up with its code, or down with that of `old`."""
        up = old is None or self.story.tags.index(new) > self.story.tags.index(old)
        if up:
            done = hosts.up(self._agent, self._releases[new])["applied"]
        else:
            assert old is not None
            steps = [
                [database, step]
                for database in reversed(self._code[old])
                for step in reversed(self._code[old][database])
                if step not in self._code[new][database]
            ]
            done = hosts.down(self._agent, self._releases[old], steps, drop=True)["reversed"] if steps else []
        self.moved += len(done)
        state = self._agent.ask("schema", release=self._releases[new].id, sizes=False)["databases"]
        assert [(one["pending"], one["unknown"]) for one in state] == [([], [])] * len(state), (old, new, state)

    def lost(self, old: str, new: str) -> list[tuple[str, str | None]]:
        """Tables and columns with rows that a way down would drop, as the agent tells beforehand."""
        steps = [
            [database, step]
            for database in reversed(self._code[old])
            for step in reversed(self._code[old][database])
            if step not in self._code[new][database]
        ]
        told = self._agent.ask("loss", release=self._releases[old].id, steps=steps)["loss"]
        return [(one["table"], one["column"]) for one in told]

    def schemas(self) -> dict[str, str]:
        """What `pg_dump -s` says of each database, normalised."""
        return schemas(self.postgres, self.names)

    def run(self, tag: str, script: str, *words: str) -> Any:
        """What a script says, in JSON, in the release's own tree."""
        tree = self._host.path("releases", self._releases[tag].id, "app")
        env = {**os.environ, "SECRET_KEY": "only-for-tests", "PYTHONDONTWRITEBYTECODE": "1", **self._env}
        argv = [sys.executable, "-c", script, *words]
        done = subprocess.run(argv, cwd=tree, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def _steps(self, tag: str) -> dict[str, list[str]]:
        told = self._agent.ask("heads", release=self._releases[tag].id)["databases"]
        return {one["name"]: [step["id"] for step in one["steps"]] for one in told}


@contextmanager
def tower(postgres: Postgres, story: Story) -> Iterator[Tower]:
    """The story's releases on a host, gone afterwards with their databases."""
    with fresh_host() as host:
        made = Tower(host, postgres, story)
        try:
            yield made
        finally:
            for agent in host.agents:
                agent.close()
            for name in made.names.values():
                postgres.drop(name)


def every_pair(tags: Sequence[str]) -> list[tuple[str, str]]:
    """A walk along every ordered pair of `tags` exactly once, each beginning where the one before ended."""
    unused = {tag: [other for other in tags if other != tag] for tag in tags}
    path, walk = [tags[0]], []
    while path:  # Hierholzer's way round a graph whose every vertex has as many ways in as out
        here = path[-1]
        if unused[here]:
            path.append(unused[here].pop())
        else:
            walk.append(path.pop())
    return list(itertools.pairwise(reversed(walk)))
