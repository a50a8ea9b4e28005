"""The whole proof of the schema, which takes many minutes: `inv schema-proof` prints a line for each part of it."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from postgres import Postgres, programs, server
from schema import fleet, ladder, loading, pairs
from schema.fresh import DOWN_TO, fresh
from schema.pairs import Found
from schema.site import site
from schema.story import EXAMPLE, environment, make_releases
from schema.tower import books, every_pair, polls, tower

from lab.fleet import Lab


def repository(folder: Path) -> Path:
    """The example with all its releases."""
    copy = folder / "repository"
    shutil.copytree(EXAMPLE, copy)
    make_releases(copy, environment(folder))
    return copy


def all_pairs(postgres: Postgres, folder: Path) -> Found:
    """Django: every ordered pair of v1 to v10, straight from one to the other."""
    source = repository(folder)
    wanted = fresh(postgres, source, folder, DOWN_TO)
    with tower(postgres, polls(source, DOWN_TO)) as made:
        return pairs.prove_polls(made, every_pair(DOWN_TO), wanted)


def _smaller(kind: str) -> Callable[[Postgres, Path], Found]:
    def prove(postgres: Postgres, _folder: Path) -> Found:
        story = books(kind)
        with tower(postgres, story) as made:
            return pairs.prove_books(made, every_pair(story.tags))

    return prove


def ladder_postgres(postgres: Postgres, folder: Path) -> Found:
    """Django by `fab`: ten up, nine down, and v11 from which there is no way back; two PostgreSQL databases."""
    wanted = fresh(postgres, repository(folder), folder)
    with site(folder / "site", postgres) as made:
        found = ladder.climb(made, wanted)
        found.wrong += ladder.refuse(made)
    return found


def ladder_sqlite(_postgres: Postgres, folder: Path) -> Found:
    """The same on two files of SQLite: /health and rows, for a fresh file is written in other words."""
    with site(folder / "site", None) as made:
        found = ladder.climb(made, None)
        found.wrong += ladder.refuse(made)
    return found


def load(postgres: Postgres, folder: Path) -> Found:
    """wrk asks while v2, whose new column v1 needn't know, comes and goes: not a request may fail."""
    with site(folder / "site", postgres) as made:
        made.fab("deploy", "--tag", "v1")
        made.visitor.ask("Tea?", "ada", {"yes": 1})
        found = Found()
        with loading.load(f"http://{made.front}/state") as seen:
            for _ in range(CYCLES):
                made.fab("deploy", "--tag", "v2")
                made.fab("rollback", "--yes-drop-data")
                found.pairs += 2
        found.rows = seen.requests
        if seen.failed or not seen.requests:
            found.wrong.append(f"{seen.failed} of {seen.requests} requests failed")
    return found


def lab(_postgres: Postgres, folder: Path) -> Found:
    """The README's commands on three hosts: all ten releases up, and down again."""
    made = Lab("schema-proof")
    try:
        with fleet.fleet(made.up(3), folder, DOWN_TO) as three:
            moves, wrong = fleet.up_and_down(three, DOWN_TO)
    finally:
        made.down()
    return Found(moves, wrong)


PARTS: dict[str, Callable[[Postgres, Path], Found]] = {
    "pairs": all_pairs,
    "alembic": _smaller("alembic"),
    "sql": _smaller("sql"),
    "ladder": ladder_postgres,
    "ladder-sqlite": ladder_sqlite,
    "load": load,
    "lab": lab,
}
"""By name."""
CYCLES = 10


def main() -> None:
    """Prove what is asked for; the exit status is 1 if anything didn't hold."""
    parser = argparse.ArgumentParser(prog="python -m schema.proof", description=__doc__)
    parser.add_argument("--only", choices=list(PARTS), help="one part")
    flags = parser.parse_args()
    if programs() is None:
        parser.error("PostgreSQL isn't installed")
    print("| proof | moves | violations | rows (load: requests) | seconds |\n|---|---|---|---|---|", flush=True)
    wrong: list[str] = []
    for name in [flags.only] if flags.only else PARTS:
        began = time.monotonic()
        with server() as postgres, tempfile.TemporaryDirectory(prefix="ts") as folder:
            found = PARTS[name](postgres, Path(folder))
        seconds = time.monotonic() - began
        print(f"| {name} | {found.pairs} | {len(found.wrong)} | {found.rows} | {seconds:.0f} |", flush=True)
        wrong += [f"{name}: {what}" for what in found.wrong]
    for what in wrong:
        print(f"VIOLATED {what}", file=sys.stderr)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
