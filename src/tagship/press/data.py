"""Data files for templates: `site/data/NAME.yaml` (or .yml, .json, .csv) is `data.NAME`, `a/b.csv` is `data["a/b"]`.

They are read when they are first asked for, as untrusted as front matter: bounded in size and depth, plain values.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

from tagship import yamltext
from tagship.errors import ContentError
from tagship.press.reads import Reads, digest

MAX_BYTES = 4_000_000
MAX_DEPTH = 40
_SUFFIXES = (".yaml", ".yml", ".json", ".csv")


class Data:
    """The data files of a project; which are asked for is noted, those that aren't there too."""

    def __init__(self, files: Mapping[str, bytes], folder: str, reads: Reads) -> None:
        self.files_ = files
        self.folder_ = folder
        self.reads_ = reads
        self.read_: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        self.reads_.note(f"data:{name}")
        if name not in self.read_:
            found = self.found_(name)
            if not found:
                raise KeyError(name)
            if len(found) > 1:
                also = f"`{name}` is {found[0]} too"
                raise ContentError(also, path=f"{self.folder_}/{found[1]}", cure="keep one of them")
            self.read_[name] = frozen(_values(self.files_[found[0]], f"{self.folder_}/{found[0]}"))
        return self.read_[name]

    def __contains__(self, name: object) -> bool:
        self.reads_.note(f"data:{name}")
        return bool(self.found_(str(name)))

    def found_(self, name: str) -> list[str]:
        return [f"{name}{suffix}" for suffix in _SUFFIXES if f"{name}{suffix}" in self.files_]

    def key_(self, name: str) -> bytes:
        """The digest of what `name` stands for now."""
        return digest(b"\0".join(file.encode() + b"\0" + digest(self.files_[file]) for file in self.found_(name)))


def _values(content: bytes, path: str) -> Any:
    if len(content) > MAX_BYTES:
        raise ContentError(f"is larger than {MAX_BYTES:,} bytes", path=path, cure="split it")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ContentError("not UTF-8", path=path, line=line, cure="save it as UTF-8") from None
    suffix = PurePosixPath(path).suffix
    if suffix == ".csv":
        return _rows(text, path)
    return _json(text, path) if suffix == ".json" else _yaml(text, path)


def _yaml(text: str, path: str) -> Any:
    try:
        return yamltext.load(text).data
    except yamltext.YamlProblem as problem:
        mark = problem.mark
        raise ContentError(
            problem.what, path=path, line=mark.line, column=mark.column, cure="mend the YAML"
        ) from None


def _json(text: str, path: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ContentError(
            error.msg, path=path, line=error.lineno, column=error.colno, cure="mend the JSON"
        ) from None
    except RecursionError:
        raise ContentError("is nested too deeply", path=path, cure=f"at most {MAX_DEPTH} levels") from None


def _rows(text: str, path: str) -> list[dict[str, str]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        head = next(reader, [])
        rows = []
        for row in reader:
            if row and len(row) != len(head):
                what = f"has {len(row)} fields, and the first line {len(head)}"
                raise ContentError(what, path=path, line=reader.line_num, cure="quote fields that hold commas")
            if row:
                rows.append(dict(zip(head, row, strict=True)))
    except csv.Error as error:
        raise ContentError(str(error), path=path, line=reader.line_num, cure="mend the CSV") from None
    return rows


def frozen(value: Any, depth: int = 0) -> Any:
    """Values that no template can change, since the next page sees them too."""
    if depth > MAX_DEPTH:
        raise ContentError("is nested too deeply", path="site/data", cure=f"at most {MAX_DEPTH} levels")
    if isinstance(value, dict):
        return MappingProxyType({str(key): frozen(inner, depth + 1) for key, inner in value.items()})
    if isinstance(value, list):
        return tuple(frozen(inner, depth + 1) for inner in value)
    return value
