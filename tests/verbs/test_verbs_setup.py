"""`fab setup`, as far as it goes without a host; tests/hosts has the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from contract.projects import free_port
from verbs.conftest import Make
from verbs.project import Project

STAGE = """
  far:
    hosts:
      - {{host: 127.0.0.1, port: {port}, user: deploy, identity: key, known_hosts: known}}
    nginx: {{template: own.j2}}
"""


@pytest.fixture
def project(make: Make) -> Project:
    """A project with a stage `far` that nobody answers for."""
    made = make()
    made.edit("tagship.yml", r"\Z", STAGE.format(port=free_port()))
    made.write({"own.j2": "server { root {{ root }}; }\n", "key": "not a key\n", "known": ""})
    made.write({"key.pub": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f ada\n"})
    return made


def test_a_stage_of_plain_processes_needs_none(project: Project) -> None:
    """The embedded one is said to be ready for what it does."""
    told = project.told("fab", "setup")
    assert (told.exit, told.result["outcome"]) == (2, "refused")
    assert "needs no setup" in told.error["what"]


def test_a_host_that_does_not_answer_is_refused(project: Project) -> None:
    """With the admin's name in the command to try, and nothing half done."""
    told = project.told(
        "fab", "setup", "--stage", "far", "--limit", "127.0.0.1", "--admin", "ada", "--key", "key.pub", "--wait", "1s"
    )
    assert told.exit == 3, told.events
    assert "ada@127.0.0.1" in told.error["cure"]
    assert project.told("fab", "--dry", "setup", "--stage", "far", "--key", "key.pub").exit == 3


def test_keys_and_templates_are_read_before_anybody_is_asked(project: Project, tmp_path: Path) -> None:
    """A private key, a missing file, a template that names what isn't there: exit 2, with where and what."""
    told = project.told("fab", "setup", "--stage", "far", "--key", "key")
    assert (told.exit, told.error["where"]) == (2, "--key key")
    told = project.told("fab", "setup", "--stage", "far", "--key", str(tmp_path / "none.pub"))
    assert told.exit == 2
    project.write({"own.j2": "server {\n  root {{ rot }};\n}\n"})
    told = project.told("fab", "setup", "--stage", "far", "--key", "key.pub")
    assert (told.exit, told.error["where"]) == (2, "own.j2:2")
    (project.folder / "own.j2").unlink()
    told = project.told("fab", "setup", "--stage", "far", "--key", "key.pub")
    assert told.exit == 2
    assert "can't be read" in told.error["what"]


def test_minus_h_is_refused(project: Project) -> None:
    """As for every verb on a stage."""
    ran = project.run("fab", "-H", "x", "setup", "--stage", "far")
    assert ran.exit == 2
    assert "--limit" in ran.err
