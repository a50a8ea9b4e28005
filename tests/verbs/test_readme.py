"""The README names only verbs and flags that exist, and each of them is run by a test in this folder.

What the README names is read from its code; what tests run, from the arguments of `run`, `told` and `begun` and from
the command lines in their tables.
"""

from __future__ import annotations

import ast
import re
import runpy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from fabric.main import program as fabric_program
from invoke.collection import Collection
from invoke.tasks import Task
from verbs.conftest import Make

from tagship.verbs import hosts, live, local, rehearsal, setup

ROOT = Path(__file__).parents[2]
PROGRAMS = ("fab", "inv", "tagship", "make")
RUNNERS = {"run", "told", "begun"}
JSON_RUNNERS = {"told", "begun"}
ELSEWHERE = {"bench": "it measures for minutes"}
"""Verbs of this repository's own tasks.py that no test here runs, and why."""

PLACED = {"--title", "--action", "--name"}
"""Arguments of `inv new` and `fab env` that are given by their place."""

_COMMAND = re.compile(rf"(?:[A-Z]+=\S+ )*(?P<program>{'|'.join(PROGRAMS)}) (?P<rest>[^#&|]*)")
_FLAG = re.compile(r"(?<![\w-])(--[a-z-]+|-[A-Za-z]\b)")


@dataclass(frozen=True)
class Use:
    """A verb or a flag of it, as somebody typed it; `flag` is empty for the verb itself."""

    program: str
    verb: str
    flag: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.program, self.verb, self.flag)))


def uses_of(program: str, words: Sequence[str]) -> Iterator[Use]:
    """The verb among `words`, and each flag: those before it are the program's own, those after `--` nobody's."""
    words = words[: words.index("--")] if "--" in words else words
    verb = next((word for word in words if re.fullmatch(r"[a-z]+(-[a-z]+)*", word)), "")
    yield Use(program, verb)
    for word in words:
        for flag in _FLAG.findall(word):
            yield Use(program, verb, flag)


def named(text: str) -> set[Use]:
    """What the code of a Markdown text names: commands, and flags that stand alone (of any program and verb)."""
    blocks = [line.removeprefix("    $ ").strip() for line in text.splitlines() if line.startswith("    ")]
    prose = "\n".join(line for line in text.splitlines() if not line.startswith("    "))
    found: set[Use] = set()
    for code in (*blocks, *re.findall(r"`([^`]+)`", prose)):
        for part in re.split(r"&&|\|(?!ID)", code.replace("\\|", "/").partition("#")[0]):
            match = _COMMAND.match(part.strip())
            if match:
                found.update(uses_of(match["program"], match["rest"].replace("[", " ").replace("]", " ").split()))
            elif part.startswith("--"):
                found.add(Use("", "", part.split()[0]))
    return found


def run_by_tests(folder: Path) -> set[Use]:
    """What the tests of `folder` run."""
    found: set[Use] = set()
    for path in sorted(folder.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found.update(run_by(node))
    return found


def run_by(node: ast.AST) -> Iterator[Use]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in RUNNERS:
        words = [text for argument in node.args if (text := text_of(argument))]
        if node.func.attr in JSON_RUNNERS:
            words.append("--json")
    elif isinstance(node, ast.Tuple | ast.List):
        words = [text for element in node.elts if (text := text_of(element))]
    else:
        return
    if len(words) > 1 and words[0] in PROGRAMS:
        yield from uses_of(words[0], words[1:])


def text_of(node: ast.expr) -> str:
    """The text of a literal, or how an f-string begins."""
    if isinstance(node, ast.JoinedStr) and node.values:
        return text_of(node.values[0])
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def exists(use: Use, known: dict[str, dict[str, set[str]]]) -> bool:
    """Whether there is such a verb, and such a flag of it; a flag alone may be any verb's."""
    if not use.program:
        return any(use.flag in flags for verbs in known.values() for flags in verbs.values())
    verbs = known[use.program]
    if use.verb not in verbs:
        return False
    return not use.flag or use.flag in verbs[use.verb] | verbs[""]


def verbs_of(module: ModuleType | SimpleNamespace) -> dict[str, set[str]]:
    """The tasks of a module and their flags."""
    tasks = Collection(*(value for value in vars(module).values() if isinstance(value, Task)))
    return {context.name: set(context.flags) for context in tasks.to_contexts()}


def rehearsals(name: str) -> dict[str, set[str]]:
    """The one of that module which is for that program."""
    return {verb: flags for verb, flags in verbs_of(rehearsal).items() if verb == name}


@pytest.fixture(scope="module")
def known() -> dict[str, dict[str, set[str]]]:
    """Every verb and flag that there is: program to verb to flags; the program's own flags at the empty verb."""
    own = SimpleNamespace(**runpy.run_path(str(ROOT / "tasks.py")))
    core = {f"-{'-' * (len(n) > 1)}{n}" for argument in fabric_program.core_args() for n in argument.names}
    targets = re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text())
    return {
        "fab": {**verbs_of(hosts), **verbs_of(live), **verbs_of(setup), **rehearsals("rehearse"), "": core},
        "inv": {**verbs_of(own), **verbs_of(local), **rehearsals("check-migrations"), "": core},
        "make": {**{target: set() for target in targets}, "": set()},
        "tagship": {"init": {"--name", "--host"}, "": {"--version"}},
    }


def test_the_readme_names_only_what_exists(known: dict[str, dict[str, set[str]]]) -> None:
    """A verb or flag that was renamed must be renamed there too."""
    uses = named((ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(uses) > 20, "the README's commands are no longer found"
    assert sorted(str(use) for use in uses if not exists(use, known)) == []


def test_every_verb_and_flag_of_the_readme_is_run() -> None:
    """What the README promises is tried by a test of this folder, with real commands."""
    run = run_by_tests(Path(__file__).parent)
    flags = {Use("", "", use.flag) for use in run}
    wanted = {use for use in named((ROOT / "README.md").read_text(encoding="utf-8")) if use.verb not in ELSEWHERE}
    assert sorted(str(use) for use in wanted - run - flags) == []


def test_every_verb_has_every_flag_run(known: dict[str, dict[str, set[str]]]) -> None:
    """Also those that the README doesn't name: each long flag of each verb of `fab` and of a project's `inv`."""
    run = run_by_tests(Path(__file__).parent)
    there = {
        Use(program, verb, flag)
        for program, verbs in (
            ("fab", verbs_of(hosts)),
            ("fab", verbs_of(live)),
            ("fab", verbs_of(setup)),
            ("fab", rehearsals("rehearse")),
            ("inv", verbs_of(local)),
            ("inv", rehearsals("check-migrations")),
            ("tagship", known["tagship"]),
        )
        for verb, flags in verbs.items()
        for flag in flags
        if flag.startswith("--") and flag not in PLACED
    }
    assert sorted(str(use) for use in there - run) == []


@pytest.mark.parametrize("target", ["demo", "test"])
def test_make_hands_over_to_invoke(make: Make, target: str) -> None:
    """`make demo` and `make test` only set up a virtualenv; the last thing they do is the task of the same name."""
    project = make()
    # The two targets run to their end in the demo's own tests, and in whatever runs this one.
    tried = {
        "demo": lambda: project.run("make", "--dry-run", "--no-print-directory", "demo", cwd=ROOT),
        "test": lambda: project.run("make", "--dry-run", "--no-print-directory", "test", cwd=ROOT),
    }[target]()
    assert tried.exit == 0
    assert tried.out.splitlines()[-1] == f".venv/bin/inv {target}"
    listed = project.run("inv", "--list", cwd=ROOT)
    assert {target, *ELSEWHERE} <= {line.split()[0] for line in listed.out.splitlines()[1:] if line.strip()}


@pytest.mark.parametrize(
    ("code", "uses"),
    [
        (
            'Say `fab deploy [--tag T]` or\n\n    $ inv new "x"   # `fab no`\n',
            {"fab deploy", "fab deploy --tag", "inv new"},
        ),
        ("`fab --dry stop`, `--limit A,B`, `git add --all`", {"fab stop", "fab stop --dry", "--limit"}),
        ("    LAB=1 make test\n    tagship init b && cd b", {"make test", "tagship init"}),
        ("`fab -H` and `fab rollback [--to TAG\\|ID]`", {"fab", "fab -H", "fab rollback", "fab rollback --to"}),
    ],
)
def test_commands_are_found_in_markdown(code: str, uses: set[str]) -> None:
    """The test of the test: what counts as naming."""
    assert {str(use) for use in named(code)} == uses


@pytest.mark.parametrize(
    ("code", "uses"),
    [
        ('p.told("fab", "status", "--stage", "x")', {"fab status", "fab status --stage", "fab status --json"}),
        ('p.run("fab", "deploy", f"--tag={x}")', {"fab deploy", "fab deploy --tag"}),
        ('A = [("inv", "serve", "--port", "1")]', {"inv serve", "inv serve --port"}),
        ('p.other("fab", "deploy"); B = ("git", "add", "--all")', set()),
    ],
)
def test_commands_are_found_in_tests(code: str, uses: set[str]) -> None:
    """The test of the test: what counts as running."""
    assert {str(use) for node in ast.walk(ast.parse(code)) for use in run_by(node)} == uses
