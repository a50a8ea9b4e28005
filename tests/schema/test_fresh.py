"""The oracle of the story: what Django itself makes of the ten releases."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from postgres import Postgres
from schema.fresh import TAGS, fresh
from schema.story import ALIASES, EXAMPLE, Expected, columns_sorted, environment, make_releases


@pytest.fixture(scope="module")
def installed(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Every release, newly installed."""
    folder = tmp_path_factory.mktemp("fresh")
    return fresh(postgres, repository(folder), folder)


def repository(folder: Path) -> Path:
    """The example with its releases."""
    copy = folder / "polls"
    shutil.copytree(EXAMPLE, copy)
    make_releases(copy, environment(folder))
    return copy


def test_nearly_every_release_changes_a_schema(installed: Mapping[str, Mapping[str, str]]) -> None:
    """Releases that leave both databases as they were would show nothing; v5 is data alone."""
    changed = {alias: _changes(installed, alias) for alias in ALIASES}
    assert changed == {
        "default": {"v2", "v4", "v6", "v7", "v8", "v9", "v10"},
        "audit": {"v3", "v9", "v11"},
    }


def _changes(installed: Mapping[str, Mapping[str, str]], alias: str) -> set[str]:
    pairs = itertools.pairwise(TAGS)
    return {after for before, after in pairs if installed[before][alias] != installed[after][alias]}


def test_only_the_order_of_columns_is_forgiven() -> None:
    """A type, a default or a missing column still differ."""
    table = "CREATE TABLE public.a (\n    {}\n);\nALTER TABLE x"
    one = columns_sorted(table.format("id bigint,\n    text text"))
    assert one == columns_sorted(table.format("text text,\n    id bigint"))
    assert one != columns_sorted(table.format("id bigint"))
    assert one != columns_sorted(table.format("id integer,\n    text text"))
    assert one.splitlines()[-2:] == [");", "ALTER TABLE x"]


def test_what_must_survive_follows_from_what_each_release_knows() -> None:
    """The oracle of rows: an author goes below v2, an actor below v3, and v11 forgets for what somebody voted."""
    expected = Expected(1)
    expected.ask("Tea?", "ada", {"yes": 1})
    expected.move(3)
    expected.ask("Milk?", "bob", {"no": 1})
    assert [question["by"] for question in expected.shown["questions"]] == ["somebody", "bob"]
    assert [entry[2] for entry in expected.shown["entries"]] == ["", "", "bob", "bob"]
    expected.move(2)
    assert [question["by"] for question in expected.shown["questions"]] == ["somebody", "bob"]
    expected.move(1)
    assert [question["by"] for question in expected.shown["questions"]] == ["", ""]
    expected.move(11)
    assert [question["by"] for question in expected.shown["questions"]] == ["somebody", "somebody"]
    assert [entry[1] for entry in expected.shown["entries"]] == ["Tea?", "", "Milk?", ""]
