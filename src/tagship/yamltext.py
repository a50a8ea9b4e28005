"""YAML text to plain values, safely, with the line and column of every key.

PyYAML's own loader takes duplicate keys in silence and loses positions, so the node graph is composed first
(libyaml where it is there) and turned into values here. Sizes, depth and aliases are bounded: a hostile
document fails in milliseconds instead of eating the machine.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.constructor import ConstructorError, SafeConstructor

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_CHARACTERS = 1_000_000
MAX_DEPTH = 40
MAX_NODES = 100_000
HARMLESS = 500
"""Characters; a text this short can't nest so deeply that composing it would exhaust the stack."""

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Mark:
    """A position in a text file, both counted from 1."""

    line: int
    column: int


class YamlProblem(ValueError):
    """The text isn't YAML that we take; `mark` is where, `key` the dotted path that was being read."""

    def __init__(self, what: str, mark: Mark, key: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.mark = mark
        self.key = key


@dataclass(frozen=True)
class Document:
    """Plain values (dict, list, str, int, float, bool, None, dates) and where each key stands."""

    data: Any
    marks: dict[Path, Mark]

    def mark(self, path: Path) -> Mark:
        """The position of `path`, or of its nearest ancestor that has one."""
        while path and path not in self.marks:
            path = path[:-1]
        return self.marks.get(path, Mark(1, 1))


def dotted(path: Path) -> str:
    """`("stages", "a", "hosts", 0)` as people write it: `stages.a.hosts[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else str(part))
    return text


def load(text: str, *, first_line: int = 1) -> Document:
    """Read one YAML document; `first_line` is the line of the file at which `text` begins.

    Raises `YamlProblem` for bad syntax, a duplicate key, a key that isn't text, a tag (`!!python/...`), and
    for documents larger, deeper or more aliased than any that a person writes.
    """
    if len(text) > MAX_CHARACTERS:
        raise YamlProblem(f"longer than {MAX_CHARACTERS:,} characters", Mark(first_line, 1))
    loader = _Loader(text)
    try:
        if len(text) > HARMLESS:
            _check_depth(text, first_line)
        node = loader.get_single_node()
        if node is None:
            return Document(None, {})
        return _Reader(first_line).document(node)
    except RecursionError:
        raise YamlProblem(f"nested deeper than {MAX_DEPTH} levels", Mark(first_line, 1)) from None
    except yaml.MarkedYAMLError as error:
        at = error.problem_mark or error.context_mark
        mark = Mark(at.line + first_line, at.column + 1) if at else Mark(first_line, 1)
        what = str(error.problem or error.context or "not YAML")
        begun = error.context_mark
        inside = str(error.context).startswith("while")
        if inside and at and begun and begun.line < at.line:  # what nobody closed is told far below it
            what += f" (in what begins at line {begun.line + first_line})"
        raise YamlProblem(what, mark) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + first_line
        raise YamlProblem(f"the character {error.character!r} is not allowed", Mark(line, 1)) from None
    finally:
        loader.dispose()


def _check_depth(text: str, first_line: int) -> None:
    """Refuse endless nesting before it is composed: the composer of libyaml recurses in C, and would crash."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH + 1:
                at: Any = event.start_mark
                mark = Mark(at.line + first_line, at.column + 1)
                raise YamlProblem(f"nested deeper than {MAX_DEPTH} levels", mark)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class _Reader:
    def __init__(self, first_line: int) -> None:
        self.first_line = first_line
        self.marks: dict[Path, Mark] = {}
        self.nodes = 0
        self.scalars = SafeConstructor()

    def at(self, node: yaml.Node) -> Mark:
        return Mark(node.start_mark.line + self.first_line, node.start_mark.column + 1)

    def document(self, node: yaml.Node) -> Document:
        self.marks[()] = self.at(node)
        return Document(self.value(node, ()), self.marks)

    def value(self, node: yaml.Node, path: Path) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise YamlProblem(f"more than {MAX_NODES:,} values, aliases counted", self.at(node), dotted(path))
        if len(path) > MAX_DEPTH:
            raise YamlProblem(f"nested deeper than {MAX_DEPTH} levels", self.at(node), dotted(path))
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            if node.tag != "tag:yaml.org,2002:seq":
                raise YamlProblem(f"the tag {node.tag} is not allowed", self.at(node), dotted(path))
            items = []
            for index, item in enumerate(node.value):
                self.marks[(*path, index)] = self.at(item)
                items.append(self.value(item, (*path, index)))
            return items
        return self.scalar(node, path)

    def mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        if node.tag != "tag:yaml.org,2002:map":
            raise YamlProblem(f"the tag {node.tag} is not allowed", self.at(node), dotted(path))
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == "tag:yaml.org,2002:merge":
                raise YamlProblem("a key must be plain text", self.at(key_node), dotted(path))
            key = key_node.value
            if key in result:
                first = self.marks[(*path, key)].line
                raise YamlProblem(
                    f"the key is given twice (first on line {first})", self.at(key_node), dotted((*path, key))
                )
            self.marks[(*path, key)] = self.at(key_node)
            result[key] = self.value(value_node, (*path, key))
        return result

    def scalar(self, node: yaml.Node, path: Path) -> Any:
        if node.tag == "tag:yaml.org,2002:str":
            return node.value
        try:
            value = self.scalars.construct_document(node)
        except (ConstructorError, ValueError) as error:
            what = getattr(error, "problem", None) or str(error)
            raise YamlProblem(str(what), self.at(node), dotted(path)) from None
        if not isinstance(value, str | int | float | bool | dt.date | None):
            raise YamlProblem(f"the tag {node.tag} is not allowed", self.at(node), dotted(path))
        return value
