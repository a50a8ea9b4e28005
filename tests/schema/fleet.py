"""The example on three hosts, with two PostgreSQL databases that all of them reach, by the commands of its README."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hosts.examples import PLACEHOLDER, Copy, Example
from hosts.visitor import Visitor
from postgres import Postgres, server
from schema.fresh import fresh
from schema.story import ALIASES, schemas

from lab.host import Host

DOMAIN = "polls.test"


@dataclass
class Fleet:
    """Three hosts, a user's copy of the example, and what its databases must look like."""

    copy: Copy
    hosts: Sequence[Host]
    postgres: Postgres
    wanted: Mapping[str, Mapping[str, str]]

    def fab(self, words: str, *, status: int = 0) -> str:
        """`fab WORDS --stage production`, as typed; what it said."""
        return self.copy.type(f"fab {words} --stage production", status=status)

    def stands_on(self, tag: str) -> list[str]:
        """What isn't as it must be where `tag` is live: the schema, and each host's answer."""
        found = schemas(self.postgres, {alias: alias for alias in ALIASES})
        wrong = [
            f"{tag}: {name} isn't that of a fresh install" for name in found if found[name] != self.wanted[tag][name]
        ]
        for host in self.hosts:
            answer = Visitor(host, DOMAIN).get("/health")
            if answer.status != 200 or not answer.text.endswith(f"-{tag}"):
                wrong.append(f"{tag}: {host.address} answers {answer.status} {answer.text!r}")
        return wrong


@contextmanager
def fleet(hosts: Sequence[Host], folder: Path, tags: Sequence[str]) -> Iterator[Fleet]:
    """Ready hosts on which nothing was deployed yet; `tags` are those that will be."""
    copy = Copy(Example("django-polls"), folder)
    copy_it, *others = copy.example.commands("Deploy it")
    copy.type(copy_it)
    lines = "\n      - ".join(f"host: {host.address}" for host in hosts)
    settings = copy.folder / "tagship.yml"
    first = hosts[0]
    copy.fill_in(first, DOMAIN)
    text = settings.read_text().replace(PLACEHOLDER.replace("web1.example.org", first.address), lines)
    settings.write_text(text)
    with server(first.subnet.gateway) as postgres:
        for command in others[:-1]:
            copy.type(command)
        for alias, variable in ALIASES.items():
            postgres.create(alias)
            copy.type(f"printf %s '{postgres.url_from_afar(alias)}' | fab env set {variable} --stage production")
        made = fresh(postgres, copy.folder, folder, tags)
        yield Fleet(copy, hosts, postgres, made)


def up_and_down(made: Fleet, tags: Sequence[str]) -> tuple[int, list[str]]:
    """Deploy each of `tags`, then roll back to each again: how many moves, and what didn't hold."""
    wrong, moves = [], 0
    for tag in tags:
        made.fab(f"deploy --tag {tag}")
        wrong += made.stands_on(tag)
        moves += 1
    for tag in reversed(tags[:-1]):
        made.fab("rollback --yes-drop-data")
        wrong += made.stands_on(tag)
        moves += 1
    return moves, wrong
