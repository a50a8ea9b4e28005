"""What is sent to hosts is this package, word for word less its words."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tagship import host
from tagship.host import boot

MODULES = sorted(Path(host.__path__[0]).glob("*.py"))


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
    """A deploy of one changed file sends less than 50 KB in all, and the agent is most of that."""
    assert len(boot.archive()) < 40_000
