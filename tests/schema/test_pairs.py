"""From any release straight to any other, by the real agent: the schema is that of a fresh install, the rows stay.

The whole table of pairs is `inv schema-proof`; here are some that cross the places where it hurts.
"""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest
from postgres import Postgres
from schema import pairs
from schema.fresh import DOWN_TO, fresh
from schema.story import ALIASES, EXAMPLE, environment, make_releases
from schema.tower import books, every_pair, polls, tower


def test_a_walk_takes_every_pair_once() -> None:
    """Or the proof would leave one out, unseen."""
    walk = every_pair(DOWN_TO)
    assert len(walk) == len(set(walk)) == len(DOWN_TO) * (len(DOWN_TO) - 1)
    assert all(one[1] == other[0] for one, other in itertools.pairwise(walk))


def test_ten_releases_of_django(postgres: Postgres, tmp_path: Path) -> None:
    """Up and down over one, three and all ten: dropped columns, moved rows, renamed tables, two databases."""
    repository = tmp_path / "repository"
    shutil.copytree(EXAMPLE, repository)
    make_releases(repository, environment(tmp_path))
    tags = ("v1", "v3", "v6", "v10")
    wanted = fresh(postgres, repository, tmp_path, tags)
    with tower(postgres, polls(repository, tags)) as made:
        walk = [("v1", "v10"), ("v10", "v3"), ("v3", "v6"), ("v6", "v1"), ("v1", "v3"), ("v3", "v1")]
        found = pairs.prove_polls(made, walk, wanted)
    assert found == pairs.Found(pairs=6, wrong=[], rows=found.rows)
    assert found.rows > 6
    assert len(ALIASES) == 2


@pytest.mark.parametrize("kind", ["alembic", "sql"])
def test_three_releases_of_the_others(postgres: Postgres, kind: str) -> None:
    """Every pair of Alembic's revisions, and of files of SQL."""
    story = books(kind)
    with tower(postgres, story) as made:
        found = pairs.prove_books(made, every_pair(story.tags))
    assert (found.pairs, found.wrong) == (6, [])
