"""Projects to run the verbs in; whatever runs is stopped at the end, also after a failure."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from contract.sshd import Sshd, sshd
from verbs.project import Project

__all__ = ["Sshd", "sshd"]

Make = Callable[..., Project]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes projects, `light` ones (without wheels) unless told otherwise; nothing is committed yet."""
    made: list[Project] = []

    def new(name: str = "blog", *, light: bool = True) -> Project:
        project = Project(tmp_path / name, _home())
        made.append(project)
        project.begin()
        if light:
            project.lighten()
        return project

    yield new
    for project in made:
        project.end()


@pytest.fixture
def project(make: Make) -> Project:
    """A light project with v1.0.0 tagged and nothing deployed."""
    new = make()
    new.tag("v1.0.0")
    return new


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """One light project for a whole module, with v1.0.0 live; use it through `live`."""
    project = Project(tmp_path_factory.mktemp("live") / "blog", _home())
    try:
        project.begin()
        project.lighten()
        project.tag("v1.0.0")
        done = project.run("fab", "deploy")
        assert done.exit == 0, done.said
        yield project
    finally:
        project.end()


@pytest.fixture
def live(deployed: Project) -> Iterator[Project]:
    """The module's project; afterwards its files, commits and tags are again those of v1.0.0."""
    yield deployed
    deployed.git("checkout", "--quiet", "--force", "-B", "main", "v1.0.0")
    deployed.git("clean", "--quiet", "--force", "-d")
    tags = [tag for tag in deployed.git("tag", "--list").split() if tag != "v1.0.0"]
    if tags:
        deployed.git("tag", "--delete", *tags)


def _home() -> Path:
    """Short, because the path of a unix socket must be."""
    return Path(tempfile.mkdtemp(prefix="tagship-"))
