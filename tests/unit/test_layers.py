"""The arrows of the house, read from the imports of every module; and what only some rooms may do.

A room is a module or package directly below `tagship`. `ARROWS` says which rooms each may import; `EXCEPTIONS`
names single modules beyond that. docs/adr/0001 says why.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"
BASE = frozenset({"config", "errors", "events", "manifest", "yamltext"})

ARROWS: dict[str, frozenset[str]] = {
    "verbs": BASE | {"app", "masks", "report", "scaffold", "summary"},
    "app": BASE | {"amounts", "hooking", "masks", "press", "release", "ship"},
    "press": BASE,
    "release": BASE,
    "ship": BASE | {"amounts", "hooking"},
    "host": frozenset(),
    "hooking": frozenset(),
    "scaffold": frozenset({"errors", "report"}),
    "report": frozenset({"errors", "events", "masks", "statements", "wording"}),
    "statements": frozenset(),
    "summary": frozenset({"amounts", "errors", "events", "wording"}),
    "wording": frozenset({"amounts", "errors", "events"}),
    "amounts": frozenset(),
    "masks": frozenset(),
    "config": frozenset({"errors", "yamltext"}),
    "errors": frozenset(),
    "events": frozenset(),
    "manifest": frozenset(),
    "yamltext": frozenset(),
}
SENT = {
    "tagship.host.schema_operations": ("django",),
    "tagship.host.schema_django": ("django",),
    "tagship.host.schema_alembic": ("alembic", "sqlalchemy"),
    "tagship.host.schema_sql": ("yoyo",),
    "tagship.host.rehearsal_program": ("django",),
}
"""What is sent as text to the release's own Python, and which of its packages that may use."""

EXCEPTIONS = {
    ("ship", "tagship.host.boot"): "packs the agent that it sends",
    ("ship", "tagship.host.frames"): "both sides speak the one framing",
    ("ship", "tagship.masks"): "what journals keep of an error holds no secret either",
    ("verbs", "tagship.ship.outcome"): "the value that app hands on",
    ("", "tagship.hooking"): "`@tagship.before` is what users write in their fabfile.py",
}
PURE = (
    "layout",
    "survey",
    "agreed",
    "settle",
    "history",
    "status",
    "plan",
    "deploy",
    "rollback",
    "start",
    "stop",
    "remarks",
    "roster",
    "again",
    "doctor",
    "setup.wanted",
    "setup.words",
    "migrations.schema",
    "migrations.guards",
    "migrations.descent",
    "migrations.plan",
)
IMPURE = frozenset(
    {"fabric", "invoke", "paramiko", "subprocess", "socket", "os", "time", "random", "secrets", "uuid"}
)
OWN_PIPE = frozenset({"tagship.press.worker"})
"""Processes of ours whose stdout is a pipe to their parent."""


@dataclass(frozen=True)
class Module:
    """One module of ours: its dotted name and its parsed source."""

    name: str
    tree: ast.Module

    @property
    def room(self) -> str:
        return self.name.split(".")[1] if "." in self.name else ""


@dataclass(frozen=True)
class Import:
    """What is imported (the most exact dotted name that is known) and on which line."""

    target: str
    line: int


class House:
    """All modules below `src/tagship`, those left out that are written to other places: projects, hosts."""

    def __init__(self, src: Path) -> None:
        self.modules: dict[str, Module] = {}
        for path in sorted(src.joinpath("tagship").rglob("*.py")):
            parts = path.relative_to(src).with_suffix("").parts
            if "files" in parts:
                continue
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            self.modules[name] = Module(name, ast.parse(path.read_text(encoding="utf-8"), str(path)))

    def imports(self, module: Module) -> Iterator[Import]:
        """Every import, also those inside functions and below TYPE_CHECKING."""
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Import):
                yield from (Import(alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = self.base_of(module, node)
                for alias in node.names:
                    full = f"{base}.{alias.name}"
                    yield Import(full if full in self.modules else base, node.lineno)

    def base_of(self, module: Module, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = module.name.split(".")
        is_package = any(name.startswith(f"{module.name}.") for name in self.modules)
        package = package[: len(package) - node.level + is_package]
        return ".".join([*package, *([node.module] if node.module else [])])

    def offences(self) -> list[str]:
        """Every broken rule, as `module:line: what`."""
        found = [offence for module in self.modules.values() for offence in self.offences_of(module)]
        return sorted({*found, *self.impurities()})

    def offences_of(self, module: Module) -> Iterator[str]:
        for imported in self.imports(module):
            where = f"{module.name}:{imported.line}"
            if not self.may_import(module, imported.target):
                yield f"{where}: must not import {imported.target}"
        if module.room != "report" and module.room != "host" and module.name not in OWN_PIPE:
            yield from (f"{module.name}:{line}: prints" for line in printing(module))
        if module.room not in {"verbs", "host"}:
            yield from (f"{module.name}:{line}: exits" for line in exiting(module))

    def may_import(self, module: Module, target: str) -> bool:
        top, room, *_ = [*target.split("."), ""]
        if top != "tagship":
            return module.room != "host" or top in sys.stdlib_module_names or top in SENT.get(module.name, ())
        if (module.room, target) in EXCEPTIONS:
            return True
        if not module.room or not room:  # the package itself, which holds the version and imports nothing of ours
            return not room and module.room != "host"
        if room == module.room:
            return True
        return room in ARROWS.get(module.room, frozenset())

    def impurities(self) -> Iterator[str]:
        """What the pure modules, and all of `ship` that they import, may not touch."""
        pure = {f"tagship.ship.{name}" for name in PURE}
        waiting = sorted(pure & self.modules.keys())
        while waiting:
            module = self.modules[waiting.pop()]
            for imported in self.imports(module):
                if imported.target.split(".")[0] in IMPURE:
                    yield f"{module.name}:{imported.line}: pure, and imports {imported.target}"
                if imported.target.startswith("tagship.ship.") and imported.target not in pure:
                    pure.add(imported.target)
                    waiting.append(imported.target)
            for node in ast.walk(module.tree):
                if is_call_of(node, {"open", "input"}):
                    yield f"{module.name}:{node.lineno}: pure, and reads"  # type: ignore[attr-defined]


def printing(module: Module) -> Iterator[int]:
    """Lines that call print, or name a standard stream other than to hand it to a Report."""
    handed = {
        id(argument.value)
        for node in ast.walk(module.tree)
        if is_call_of(node, {"Report"})
        for argument in node.keywords  # type: ignore[attr-defined]
    }
    for node in ast.walk(module.tree):
        stream = isinstance(node, ast.Attribute) and id(node) not in handed and is_of_sys(node, {"stdout", "stderr"})
        if stream or is_call_of(node, {"print"}):
            yield node.lineno  # type: ignore[attr-defined]


def exiting(module: Module) -> Iterator[int]:
    """Lines that end the process."""
    for node in ast.walk(module.tree):
        ends = isinstance(node, ast.Attribute) and (is_of_sys(node, {"exit"}) or node.attr == "_exit")
        if ends or is_call_of(node, {"exit", "quit"}) or (isinstance(node, ast.Name) and node.id == "SystemExit"):
            yield node.lineno  # type: ignore[attr-defined]


def is_call_of(node: ast.AST, names: set[str]) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


def is_of_sys(node: ast.Attribute, names: set[str]) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "sys" and node.attr.strip("_") in names


def test_every_arrow_points_down() -> None:
    """No room imports what is beside or above it; only report prints, only verbs exit, the pure stay pure."""
    assert House(SRC).offences() == []


def test_every_room_has_its_arrows() -> None:
    """A new room must be given its place here."""
    rooms = {module.room for module in House(SRC).modules.values()} - {""}
    assert rooms == set(ARROWS)


def test_the_exceptions_are_still_needed() -> None:
    """An exception that nothing uses any more is taken out."""
    house = House(SRC)
    used = {(m.room, imported.target) for m in house.modules.values() for imported in house.imports(m)}
    assert set(EXCEPTIONS) <= used


def test_the_agent_is_written_for_python_3_9() -> None:
    """Its grammar is the oldest host's."""
    for path in sorted(SRC.joinpath("tagship/host").rglob("*.py")):
        ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 9))


# --- the test itself, on a made-up house -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "source", "offence"),
    [
        ("press/a.py", "from tagship.release import tags", "tagship.press.a:1: must not import tagship.release.tags"),
        ("press/a.py", "from tagship import ship", "tagship.press.a:1: must not import tagship.ship"),
        ("press/a.py", "from ..ship import plan", "tagship.press.a:1: must not import tagship.ship.plan"),
        ("press/a.py", "def f():\n    import tagship.app", "tagship.press.a:2: must not import tagship.app"),
        ("release/a.py", "from tagship.report import Report", "tagship.release.a:1: must not import tagship.report"),
        ("ship/a.py", "from tagship.host.files import x", "tagship.ship.a:1: must not import tagship.host.files"),
        ("ship/a.py", "from tagship.press import x", "tagship.ship.a:1: must not import tagship.press"),
        ("host/a.py", "from tagship import errors", "tagship.host.a:1: must not import tagship.errors"),
        ("host/a.py", "import tagship", "tagship.host.a:1: must not import tagship"),
        ("host/a.py", "import yaml", "tagship.host.a:1: must not import yaml"),
        ("errors.py", "from tagship import config", "tagship.errors:1: must not import tagship.config"),
        ("new.py", "from tagship import errors", "tagship.new:1: must not import tagship.errors"),
        ("__init__.py", "from tagship import errors", "tagship:1: must not import tagship.errors"),
        ("ship/plan.py", "import os.path", "tagship.ship.plan:1: pure, and imports os.path"),
        ("ship/plan.py", "open('x')", "tagship.ship.plan:1: pure, and reads"),
        ("ship/steps.py", "from time import time", "tagship.ship.steps:1: pure, and imports time"),
        ("app.py", "print('x')", "tagship.app:1: prints"),
        ("verbs/a.py", "import sys\nsys.stdout.write('x')", "tagship.verbs.a:2: prints"),
        ("app.py", "import sys\nsys.exit(1)", "tagship.app:2: exits"),
        ("app.py", "raise SystemExit(1)", "tagship.app:1: exits"),
    ],
)
def test_a_bad_arrow_is_caught(tmp_path: Path, path: str, source: str, offence: str) -> None:
    """Each rule fails on a house that breaks it, and only there."""
    for name in (
        "__init__",
        "errors",
        "config",
        "app",
        "report",
        "press/__init__",
        "release/__init__",
        "release/tags",
    ):
        write(tmp_path, f"{name}.py", "")
    for name in ("ship/__init__", "ship/steps", "host/__init__", "host/boot", "host/files"):
        write(tmp_path, f"{name}.py", "")
    write(tmp_path, "ship/plan.py", "from tagship.ship.steps import x")
    write(tmp_path, "ship/fleet.py", "import os\nfrom tagship.host import boot")
    write(tmp_path, "verbs/console.py", "import sys\nfrom tagship.report import Report\nReport(stream=sys.stdout)")
    write(tmp_path, "scaffold/files/tasks.py", "from tagship.verbs import local\nprint(1)")
    write(tmp_path, "ship/setup/files/helper.py", "raise SystemExit(1)")
    assert House(tmp_path).offences() == []
    write(tmp_path, path, source)
    assert House(tmp_path).offences() == [offence]


def write(src: Path, name: str, text: str) -> None:
    path = src / "tagship" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
