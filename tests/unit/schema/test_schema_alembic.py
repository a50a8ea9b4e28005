"""The adapter for Alembic, on real databases."""

from __future__ import annotations

from pathlib import Path

import pytest
from postgres import Postgres
from unit.schema import projects
from unit.schema.asked import Told, asked
from unit.schema.projects import ALEMBIC, REVISIONS

PLAIN = "\n\ndef downgrade():\n    op.execute('SELECT 1')\n"


def up(body: str, down: str = PLAIN) -> str:
    """A revision's functions."""
    inner = "\n".join(f"    {line}" for line in body.splitlines())
    return f"def upgrade():\n{inner}\n{down}"


MANY = projects.alembic(
    {
        **REVISIONS,
        "c3": up('op.create_index("i", "polls", ["votes"])\nop.alter_column("polls", "title", nullable=False)'),
        "d4": up('op.create_index("j", "polls", ["id"], postgresql_concurrently=True)'),
        "e5": up(
            'with op.batch_alter_table("polls") as b:\n'
            '    b.add_column(sa.Column("x", sa.Text))\n    b.drop_column("y")'
        ),
        "f6": up('op.execute(sa.text("DROP TABLE old"))\nop.rename_table("a", "b")', ""),
        "a7": up("op.execute('SELECT 1')", "\n\ndef downgrade():\n    raise NotImplementedError('never')\n"),
        "b8": up("op.execute('SELECT 1')", "\n\ndef downgrade():\n    pass\n"),
        "c9": up("pass", "\n\ndef downgrade():\n    pass\n"),
        "d0": up("with op.get_context().autocommit_block():\n    op.execute('SELECT 1')"),
    }
)


def test_facts_are_read_from_the_source(tmp_path: Path) -> None:
    """Nothing of a revision is run to know what it does, and no database is asked."""
    nowhere = {"MAIN_URL": "postgresql+psycopg://x@/none?host=/nonexistent"}
    with asked(tmp_path, MANY, ALEMBIC, nowhere) as program:
        (told,) = program.ask("heads")["databases"]
    steps = {step["id"]: step for step in told["steps"]}
    assert list(steps) == ["aaa1", "bbb2", "c3", "d4", "e5", "f6", "a7", "b8", "c9", "d0"]
    assert (told["heads"], steps["c3"]["parents"]) == (["d0"], ["bbb2"])
    facts = {name: (step["drops"], step["adds"]) for name, step in steps.items() if step["drops"] or step["adds"]}
    assert facts == {
        "aaa1": ([], [["polls", None]]),
        "bbb2": ([], [["polls", "votes"]]),
        "e5": ([["polls", "y"]], [["polls", "x"]]),
        "f6": ([["old", None], ["a", None]], []),
    }
    assert steps["c3"]["locks"] == [
        ["polls", "an index is built while writes wait"],
        ["polls", "NOT NULL reads the whole table"],
    ]
    assert steps["d4"]["locks"] == []
    assert {name: step["why"] for name, step in steps.items() if not step["reversible"]} == {
        "f6": "it has no downgrade()",
        "a7": "downgrade() raises NotImplementedError",
        "b8": "downgrade() does nothing, and upgrade() does something",
    }
    assert [name for name, step in steps.items() if not step["atomic"]] == ["d0"]


def test_branches_join_and_part_again(tmp_path: Path, postgres: Postgres) -> None:
    """Two heads are a conflict until a revision joins them; each can be reversed by itself."""
    url = {"MAIN_URL": postgres.create("alembic").replace("postgresql:", "postgresql+psycopg:")}
    files = projects.alembic(
        {**REVISIONS, "left": up('op.create_table("l", sa.Column("id", sa.Integer))', _drop("l"))}
    )
    right = files["alembic/versions/left_.py"].replace('"left"', '"right"').replace('"l"', '"r"')
    files["alembic/versions/right_.py"] = right
    joined = files["alembic/versions/left_.py"].replace('"left"', '"joined"').replace("'bbb2'", "('left', 'right')")
    with asked(tmp_path, files, ALEMBIC, url) as program:
        assert program.ask("heads")["databases"][0]["conflicts"] == ["2 heads: left, right"]
        program.up("aaa1", "bbb2")
        before = postgres.dump("alembic")
        program.up("left", "right")
    files["alembic/versions/joined_.py"] = joined.replace('"l"', '"j"')
    with asked(tmp_path, files, ALEMBIC, url) as program:
        assert program.step("joined")["parents"] == ["left", "right"]
        assert program.up()[0]["adds"] == [["j", None]]
        assert program.state()["applied"][-1] == "joined"
        sql = program.ask("sql", step="joined", down=True)["text"]
        assert "DROP TABLE j" in sql
        program.down("joined", "left")
        assert [one for one in program.state()["applied"] if one in ("left", "right")] == ["right"]
        program.down("right")
        assert program.state()["applied"] == ["aaa1", "bbb2"]
    assert postgres.dump("alembic") == before


def _drop(table: str) -> str:
    return f'\n\ndef downgrade():\n    op.drop_table("{table}")\n'


BROKEN = 'op.add_column("polls", sa.Column("more", sa.Text))\nop.execute("SELECT nothing FROM nowhere")'


@pytest.mark.parametrize("vendor", ["postgresql", "sqlite"])
def test_a_revision_that_fails_leaves_nothing(tmp_path: Path, request: pytest.FixtureRequest, vendor: str) -> None:
    """Also on SQLite, where neither the driver nor Alembic begins a transaction before DDL."""
    url = f"sqlite:///{tmp_path}/main.db"
    if vendor == "postgresql":
        made = request.getfixturevalue("postgres").create("alembic")
        url = made.replace("postgresql:", "postgresql+psycopg:")
    files = projects.alembic({**REVISIONS, "ccc3": up(BROKEN)})
    with asked(tmp_path, files, ALEMBIC, {"MAIN_URL": url}) as program:
        with pytest.raises(Told) as caught:
            program.up()
        assert caught.value.data == {}
        assert program.state()["pending"] == ["ccc3"]
        program.ask("move", step="bbb2", down=True)
        assert program.up("bbb2")[0]["adds"] == [["polls", "votes"]]


def test_outside_a_transaction_something_may_be_done(tmp_path: Path, postgres: Postgres) -> None:
    """An autocommit block commits what comes before it, and each of its own statements."""
    url = {"MAIN_URL": postgres.create("alembic").replace("postgresql:", "postgresql+psycopg:")}
    body = 'with op.get_context().autocommit_block():\n    op.create_index("i", "polls", ["id"])\n'
    body += 'op.execute("SELECT 1/0")'
    with asked(tmp_path, projects.alembic({**REVISIONS, "ccc3": up(body)}), ALEMBIC, url) as program:
        with pytest.raises(Told) as caught:
            program.up()
        assert caught.value.data == {"partly": True}
        assert "INDEX i" in postgres.dump("alembic")
        assert program.state()["pending"] == ["ccc3"]
