"""`fab adopt`, as far as it goes without a host; tests/hosts has the rest."""

from __future__ import annotations

import pytest
from contract.projects import free_port
from verbs.conftest import Make
from verbs.project import Project

STAGE = """
  far:
    hosts:
      - {{host: 127.0.0.1, port: {port}, user: deploy, identity: key, known_hosts: known}}
"""


@pytest.fixture
def project(make: Make) -> Project:
    """A project with a stage `far` that nobody answers for."""
    made = make()
    made.edit("tagship.yml", r"\Z", STAGE.format(port=free_port()))
    made.edit("tagship.yml", r"(?m)^  start: .*", "  start: python3 serve.py {socket}\n  shared: {dirs: [media]}")
    made.write({"key": "not a key\n", "known": ""})
    made.write({"key.pub": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f ada\n"})
    return made


def test_a_stage_of_plain_processes_adopts_nothing(project: Project) -> None:
    """The embedded one has no host that could have served something before."""
    told = project.told("fab", "adopt")
    assert (told.exit, told.result["outcome"]) == (2, "refused")


def test_what_is_shared_must_be_known(project: Project) -> None:
    """A word that is no NAME=PATH, and a name that no release would look for: exit 2, before anybody is asked."""
    told = project.told("fab", "adopt", "--stage", "far", "--share", "media")
    assert (told.exit, told.error["where"]) == (2, "--share")
    told = project.told("fab", "adopt", "--stage", "far", "--share", "media=/srv/a", "--share", "other=/srv/b")
    assert told.exit == 2
    assert "`other` isn't shared" in told.error["what"]


def test_a_host_that_does_not_answer_is_refused(project: Project) -> None:
    """Whether it is to be taken over or given back."""
    told = project.told(
        "fab", "adopt", "--stage", "far", "--limit", "127.0.0.1", "--key", "key.pub", "--public", "/srv/www"
    )
    assert told.exit == 3
    told = project.told(
        "fab",
        "adopt",
        "--stage",
        "far",
        "--key",
        "key.pub",
        "--upstream",
        "127.0.0.1:8001",
        "--site",
        "old",
        "--wait",
        "1s",
    )
    assert told.exit == 3
    told = project.told("fab", "--dry", "adopt", "--stage", "far", "--undo", "--admin", "ada", "--key", "key.pub")
    assert told.exit == 3, told.events
    assert "ada@127.0.0.1" in told.error["cure"]
