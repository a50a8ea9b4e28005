"""The workflows, ours and those of a new project: what GitHub's schema and zizmor say, and rules of our own."""

from __future__ import annotations

import datetime as dt
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from workflows.expressions import Unknown, evaluate, holds, interpolate
from workflows.forge import serving
from workflows.runner import Repository

from tagship.scaffold import init

ROOT = Path(__file__).parents[2]
STRICTEST = ("--offline", "--no-config", "--persona", "auditor", "--no-progress")
TEMPLATES = init.FILES / "dot-github/workflows"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Our own workflows, and those of a new project as it is written."""
    new = tmp_path_factory.mktemp("new") / "site"
    init.write(new, today=dt.date(2026, 3, 4))
    return [ROOT / ".github/workflows", new / ".github/workflows"]


def each(folders: list[Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Text and content of every workflow; all values are texts."""
    for path in sorted(path for folder in folders for path in folder.iterdir()):
        text = path.read_text()
        yield text, yaml.load(text, Loader=yaml.BaseLoader)


def tool(name: str, *argv: str, folders: list[Path]) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name(name)), *argv]
    files = sorted(str(path) for folder in folders for path in folder.iterdir())
    assert len(files) == 4
    return subprocess.run([*command, *files], capture_output=True, text=True, check=False)


def test_they_are_workflows(folders: list[Path]) -> None:
    """GitHub's own schema, of which check-jsonschema has a copy, takes every one of them."""
    done = tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", folders=folders)
    assert done.returncode == 0, done.stdout


def test_nothing_in_them_is_unsafe(folders: list[Path]) -> None:
    """zizmor finds nothing, at its strictest: no injection, no kept credentials, no loose action, no wide right."""
    done = tool("zizmor", *STRICTEST, folders=folders)
    assert done.returncode == 0, done.stdout


def test_the_tools_would_find_something(tmp_path: Path) -> None:
    """The two tests above can fail."""
    bad = tmp_path / ".github/workflows"
    bad.mkdir(parents=True)
    step = "      - run: echo ${{ github.ref_name }}\n        usess: y\n"
    for number in range(4):
        (bad / f"{number}.yml").write_text(f"on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n{step}")
    assert tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", folders=[bad]).returncode == 1
    assert "template-injection" in tool("zizmor", *STRICTEST, folders=[bad]).stdout


def test_actions_are_pinned(folders: list[Path]) -> None:
    """Every action is named by commit with its version beside it, the same everywhere; all history is fetched."""
    commits: dict[str, set[str]] = {}
    for text, _content in each(folders):
        for name, commit in re.findall(r"uses: ([\w/-]+)@(.*)", text):
            assert re.fullmatch(r"[0-9a-f]{40} # v\d+\.\d+\.\d+", commit)
            commits.setdefault(name, set()).add(commit)
        assert text.count("fetch-depth: 0") == text.count("persist-credentials: false") == text.count("checkout@") > 0
    assert {name: len(found) for name, found in commits.items()} == {"actions/checkout": 1, "actions/setup-python": 1}


def test_no_script_is_made_of_expressions(folders: list[Path]) -> None:
    """What a script gets, it gets as a variable: a tag's name, or a secret, is never part of a shell's program."""
    for _text, content in each(folders):
        for job in content["jobs"].values():
            assert not [step for step in job.get("steps", []) if "${{" in step.get("run", "")]


def test_rights_and_time_are_bounded(folders: list[Path]) -> None:
    """No right but to read the code, and an end for every job that runs."""
    for _text, content in each(folders):
        assert content["permissions"] == {}
        for job in content["jobs"].values():
            assert job["permissions"] == {"contents": "read"}
            assert "uses" in job or int(job["timeout-minutes"]) <= 60


def test_publishing_is_the_same_here_and_there() -> None:
    """A new project publishes by the very steps that we do, but for how tagship comes in."""
    ours, theirs = (
        yaml.load(path.read_text(), Loader=yaml.BaseLoader)
        for path in (ROOT / ".github/workflows/publish.yml", TEMPLATES / "publish.yml")
    )
    own = ours["jobs"]["publish"]
    new = theirs["jobs"]["publish"]
    steps = zip(own.pop("steps"), new.pop("steps"), strict=True)
    assert [a["name"] for a, b in steps if a != b] == ["Install the tag's own tagship, and all that it needs by hash"]
    assert own.pop("needs") == "test"
    assert own.pop("if") in new.pop("if")
    assert own == new


def test_a_publish_is_never_cancelled_and_never_beside_another(folders: list[Path]) -> None:
    """One at a time for a stage, with the secrets of an environment of its name; a tag starts it, nothing else."""
    for text, content in each(folders):
        if "fab deploy" in text:
            job = content["jobs"]["publish"]
            assert job["concurrency"] == {"group": "publish-${{ vars.DEPLOY_STAGE }}", "cancel-in-progress": "false"}
            assert job["environment"] == "${{ vars.DEPLOY_STAGE }}"
            assert content["on"] == {"push": {"tags": ["v*"]}}
        else:
            assert "secrets." not in text


def test_what_they_ask_of_their_repository_is_documented(folders: list[Path]) -> None:
    """Every variable and secret, and no other, stands in docs/publishing.md."""
    asked = {name for text, _content in each(folders) for name in re.findall(r"(?:vars|secrets)\.(\w+)", text)}
    table = [line for line in (ROOT / "docs/publishing.md").read_text().splitlines() if line.startswith("   | ")]
    assert {name for line in table for name in re.findall(r"\| `([A-Z_]+)` \|", line)} == asked


@pytest.mark.parametrize(
    ("variables", "moved", "ended"),
    [
        ({"TAGSHIP": "x", "DEPLOY_STAGE": "production"}, True, "failure"),
        ({"TAGSHIP": "x", "DEPLOY_STAGE": ""}, False, "skipped"),
        ({"TAGSHIP": "", "DEPLOY_STAGE": "production"}, False, "skipped"),
    ],
)
def test_nothing_is_published_of_a_moved_tag_or_without_its_variables(
    tmp_path: Path, variables: dict[str, str], moved: bool, ended: str
) -> None:
    """A tag that names another commit than when it was pushed ends the job before anything is installed; where a
    variable isn't set, there is no job."""
    work, bare = tmp_path / "site", tmp_path / "git/private-site.git"
    init.write(work, today=dt.date(2026, 3, 4))
    git = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-C", str(work))
    for argv in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "One"), ("commit", "-qm", "Two", "--allow-empty")):
        subprocess.run([*git, *argv], check=True)
    subprocess.run([*git, "tag", "-a", "v1", "-m", "One"], check=True)
    subprocess.run(["git", "clone", "-q", "--bare", str(work), str(bare)], check=True)
    before = subprocess.run([*git, "rev-parse", "HEAD^"], check=True, capture_output=True, text=True).stdout.strip()
    with serving(bare.parent, token="ghs-1") as url:
        forge = Repository(f"{url}/{bare.name}", bare, variables, {}, "ghs-1", tmp_path / "runners")
        job = forge.pushed("v1", ".github/workflows/publish.yml", commit=before if moved else "")["publish"]
    assert job.conclusion == ended
    if moved:
        assert "v1 was moved after it was pushed" in job.log
        assert list(job.conclusions().values()) == ["success", "success", "failure", *["skipped"] * 4]


# --- how they are run in tests/hosts ------------------------------------------------------------------------------

CONTEXTS = {"github": {"ref_name": "v1", "ref": "refs/tags/v1"}, "vars": {"STAGE": "", "X": "it's"}}
WELL = {"success": lambda: True, "failure": lambda: False, "always": lambda: True, "cancelled": lambda: False}
ILL = {**WELL, "success": lambda: False, "failure": lambda: True}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("github.ref_name", "v1"),
        ("vars.STAGE != ''", False),
        ("vars.X == 'IT''S' && github.ref_name", "v1"),
        ("vars.STAGE || 'production'", "production"),
        ("!(github.ref == 'x' || false)", True),
        ("2 == 2", True),
    ],
)
def test_expressions_have_githubs_values(expression: str, value: object) -> None:
    """Texts compare without regard to case; && and || give one of their sides."""
    assert evaluate(expression, CONTEXTS, {}) == value


@pytest.mark.parametrize(
    "expression",
    ["secrets.KEY", "github.nothing", "toJSON(github)", "github", "format('x')", "1 +", "", "a b", "'x", "(true"],
)
def test_what_is_unknown_is_an_error(expression: str) -> None:
    """GitHub would take a misspelt name for an empty text."""
    with pytest.raises(Unknown):
        evaluate(expression, CONTEXTS, {})
    with pytest.raises(Unknown):
        interpolate(f"x ${{{{ {expression} }}}} y", CONTEXTS)


def test_a_condition_without_a_status_means_success() -> None:
    """So that a step after a failed one is skipped, unless it says otherwise."""
    assert holds("github.ref_name == 'v1'", CONTEXTS, WELL)
    assert not holds("github.ref_name == 'v1'", CONTEXTS, ILL)
    assert holds("${{ always() && github.ref_name == 'v1' }}", CONTEXTS, ILL)
    assert holds("failure()", CONTEXTS, ILL)
    assert not holds("failure()", CONTEXTS, WELL)
