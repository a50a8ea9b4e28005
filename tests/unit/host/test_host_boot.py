"""What is sent to hosts is this package, word for word less its words."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from unit.host.client import Host, blog, go_live

from tagship import host as package
from tagship.host import boot

MODULES = sorted(Path(package.__path__[0]).glob("*.py"))
THEIRS = {
    "schema_django": {"django"},
    "schema_operations": {"django"},
    "schema_alembic": {"alembic", "sqlalchemy"},
    "schema_sql": {"yoyo"},
    "rehearsal_program": {"django"},
}
"""What runs in the release's Python, and so may use what the release brings; the agent itself never imports it."""


class _Quiet(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            node.value.value = ""
        return node


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_a_module_loses_only_its_words_on_the_way(module: Path) -> None:
    """Stripped of docstrings and comments, each module means the same, line for line."""
    source = module.read_text(encoding="utf-8")
    sent = boot.without_words(source)
    positions = [(node.lineno, type(node)) for node in ast.walk(ast.parse(sent)) if isinstance(node, ast.stmt)]
    assert ast.dump(ast.parse(sent)) == ast.dump(_Quiet().visit(ast.parse(source)))
    assert positions == [
        (node.lineno, type(node)) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt)
    ]


def test_what_is_sent_stays_small() -> None:
    """Over SSH, a deploy of one changed file sends some 50 KB in all: the agent, and 4 KB for nine wheels.

    What only some stages, or some verbs, need doesn't travel with it.
    """
    assert len(boot.archive()) < 47_500
    assert len(boot.archive(boot.FRONT)) < len(boot.archive()) + 7_000
    assert len(boot.archive(boot.LIVE)) < len(boot.archive()) + 10_000
    assert len(boot.archive(boot.SCHEMA)) < len(boot.archive()) + 22_000


def pythons() -> list[str]:
    """Interpreters of other versions on this machine, and the oldest that we promise if it is here."""
    found = {str(path) for path in Path("~/.pyenv/versions").expanduser().glob("3.9*/bin/python3")}
    found |= {path for path in ("/usr/bin/python3", "/usr/bin/python3.9") if Path(path).exists()}
    return sorted(found)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_a_module_is_python_3_9_and_imports_nothing_of_ours_beside_its_own_room(module: Path) -> None:
    """The agent runs on hosts that have nothing but Python 3.9 and its standard library."""
    parsed = ast.parse(module.read_text(encoding="utf-8"), feature_version=(3, 9))
    imported = set()
    for node in ast.walk(parsed):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(node.module or "")
    for name in imported:
        known = sys.stdlib_module_names | THEIRS.get(module.stem, set())
        assert name.split(".")[0] in known or name.startswith("tagship.host")


@pytest.mark.parametrize("python", pythons())
def test_it_runs_where_nothing_is_installed(host: Host, listen: str, python: str) -> None:
    """From memory, on an interpreter that has never heard of tagship; nothing of ours is left on the host."""
    host.python = python
    agent = host.locked()
    assert agent.hello["protocol"] == 1
    go_live(agent, blog(1), None, listen)
    agent.ask("prune", keep=1)
    assert agent.ask("verify", release="0001-v1")["drift"] == []
    assert host.survey(agent, python=sys.executable)["python"]["markers"]["python_version"] == "{}.{}".format(
        *sys.version_info[:2]
    )
    agent.ask("unfront")
    agent.ask("halt", release="0001-v1", drain=1)
    agent.hang_up()
    assert agent.errors() == ""
    assert not [path for path in host.root.parent.rglob("*") if "tagship" in path.name and path.name != "tagship"]


def test_the_greeting_is_the_same_bytes_each_time() -> None:
    """The loader's text and the archive, each behind its length: each connection sends the same."""
    greeting = boot.greeting()
    size = int.from_bytes(greeting[:4], "big")
    compile(greeting[4 : 4 + size], "loader", "exec")
    assert greeting[4 + size :] == len(boot.archive()).to_bytes(4, "big") + boot.archive()
    boot.archive.cache_clear()
    assert boot.greeting() == greeting


def changed_something(host: Host) -> None:
    """A session that holds the lock, begins with the root as a client does, and ends."""
    agent = host.locked(str(host.root))
    agent.ask("prune", keep=1)
    agent.ask("unlock")
    agent.hang_up()
    assert agent.errors() == ""


def test_it_finds_itself_compiled_where_it_has_changed_something(host: Host) -> None:
    """Kept by a session that held the lock, for its owner alone; one that only looks writes nothing."""
    looking = host.connect(str(host.root))
    host.survey(looking)
    looking.hang_up()
    kept = host.path("state", "agent")
    assert not kept.exists()
    changed_something(host)
    assert kept.stat().st_mode & 0o777 == 0o600
    first = kept.stat()
    changed_something(host)
    assert kept.stat().st_ino == first.st_ino  # there was nothing to compile


@pytest.mark.parametrize("how", ["damaged", "cut", "another", "writable", "link"])
def test_what_was_kept_by_another_or_is_damaged_is_not_run(host: Host, how: str) -> None:
    """It is made anew from what was sent."""
    changed_something(host)
    kept = host.path("state", "agent")
    whole = kept.read_bytes()
    if how == "damaged":
        kept.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    elif how == "cut":
        kept.write_bytes(whole[:70])
    elif how == "another":
        kept.write_bytes(b"\0" * 32 + whole[32:])
    elif how == "writable":
        kept.chmod(0o666)
    else:
        kept.rename(kept.with_name("elsewhere"))
        kept.symlink_to("elsewhere")
    changed_something(host)
    assert kept.read_bytes() == whole
    assert (kept.lstat().st_mode & 0o7777, kept.is_symlink()) == (0o600, False)
