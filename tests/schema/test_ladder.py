"""The README's two loops, half as high: five up and four down, on PostgreSQL. All of it: `inv schema-proof`."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from postgres import Postgres
from schema import ladder, pairs
from schema.fresh import fresh
from schema.site import site
from schema.story import ALIASES, EXAMPLE, environment, make_releases


def test_five_up_and_four_down_by_fab(postgres: Postgres, tmp_path: Path) -> None:
    """At each rung both schemas are those of a fresh install, /health fits, and no row is missing."""
    repository = tmp_path / "repository"
    shutil.copytree(EXAMPLE, repository)
    make_releases(repository, environment(tmp_path))
    wanted = fresh(postgres, repository, tmp_path)
    with site(tmp_path / "site", postgres) as made:
        found = ladder.climb(made, wanted, top=5)
        assert found == pairs.Found(pairs=9, wrong=[], rows=found.rows)
        assert found.rows > 9


def test_the_readme_climbs_the_same_ladder() -> None:
    """Its loops name every rung, and the verbs that are tried above."""
    readme = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    up = re.search(r"for n in ([\d ]+); do fab deploy --tag v\$n \|\| break; done", readme)
    down = re.search(r"for n in ([\d ]+); do fab rollback --yes-drop-data \|\| break; done", readme)
    assert up is not None and down is not None
    assert up[1].split() == [str(number) for number in range(1, 11)]
    assert down[1].split() == [str(number) for number in range(9, 0, -1)]
    assert len(ALIASES) == 2
