"""ansible-core, from PyPI, with the steps of Ansistrano's roles, which are not there."""

from __future__ import annotations

import json
from pathlib import Path

from bench import timing
from bench.peers.peer import Fleet, Ground
from bench.peers.surroundings import FILES, surroundings


class Ansible:
    """Pipelining, and connections that outlive a run by a minute, as is its default."""

    name = "ansible"
    can_roll_back = True
    runs_units = False
    code = "."

    def __init__(self, programs: Path, absent: str) -> None:
        self._programs, self._absent = programs, absent

    def missing(self) -> str:
        return self._absent

    def version(self) -> str:
        said = timing.run([str(self._programs / "ansible"), "--version"], FILES)[1]
        return f"ansible-core {said.split('core ')[1].split(']')[0]}, as Ansistrano"

    def prepare(self, ground: Ground) -> None:
        self._ground = ground

    def deploy(self, fleet: Fleet, tag: str) -> float:
        return self._play("deploy.yml", fleet, tag)

    def roll_back(self, fleet: Fleet) -> float:
        return self._play("rollback.yml", fleet, "")

    def _play(self, book: str, fleet: Fleet, tag: str) -> float:
        values = surroundings(self._ground, fleet, self.name, tag)
        root = values["BENCH_ROOT"]
        variables = {
            "root": root,
            "release": f"{root}/releases/{values['BENCH_RELEASE']}",
            "tag": tag,
            "repository": values["BENCH_REPOSITORY"],
            "restart": values["BENCH_RESTART"],
            "wheels": values["BENCH_WHEELS"],
            "ansible_user": "deploy",
            "ansible_ssh_private_key_file": values["BENCH_KEY"],
            "ansible_ssh_common_args": f"-F none -o UserKnownHostsFile={values['BENCH_KNOWN_HOSTS']}",
        }
        argv = [str(self._programs / "ansible-playbook"), "--inventory", ",".join([*fleet.addresses, ""])]
        argv += ["--extra-vars", json.dumps(variables), str(FILES / book)]
        env = {"ANSIBLE_CONFIG": str(FILES / "ansible.cfg"), "LC_ALL": "C.UTF-8"}
        return timing.run(argv, self._ground.scratch, env=env)[0]
