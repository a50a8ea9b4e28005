"""What msgspec says of a wrong value, in the words of the annotated tagship.yml."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tagship import yamltext

_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}


def where(message: str) -> tuple[str, yamltext.Path]:
    """msgspec's ``Expected `int`, got `str` - at `$.app.probe[0]` `` as sentence and path."""
    match = re.match(r"(.*?) - at `\$(.*)`\Z", message, re.S)
    if match is None:
        return message, ()
    parts: list[str | int] = []
    for name, index in re.findall(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]", match[2]):
        if index != "...":  # a mapping's key, which msgspec doesn't tell
            parts.append(name or int(index))
    return match[1], tuple(parts)


def plain(what: str) -> str:
    """msgspec's sentence in the words of the annotated tagship.yml."""
    types = re.match(r"Expected `([^`]*)`, got `([^`]*)`\Z", what)
    if types:
        wanted, given = (_WORDS.get(kind.removesuffix(" | null"), kind) for kind in types.groups())
        return f"must be {wanted}, not {given}"
    missing = re.match(r"Object missing required field `(.*)`\Z", what)
    return f"needs `{missing[1]}`" if missing else what[:1].lower() + what[1:]


def nearest(name: str, kind: Any, path: yamltext.Path) -> str:
    """` (did you mean …?)` where a known key of the struct at `path` looks like `name`, else nothing."""
    import difflib  # only on the way to an error

    info: Any = msgspec.inspect.type_info(kind)
    for part in path:
        info = _child(info, part)
        if info is None:
            return ""
    fields = [field.encode_name for field in getattr(info, "fields", ())]
    close = difflib.get_close_matches(name, fields, 1)
    return f"; did you mean `{close[0]}`?" if close else f"; known here: {', '.join(sorted(fields))}"


def _child(info: Any, part: str | int) -> Any:
    if isinstance(info, msgspec.inspect.UnionType):
        info = next((t for t in info.types if not isinstance(t, msgspec.inspect.NoneType)), None)
    if isinstance(part, int):
        child = getattr(info, "item_type", None)
    else:
        child = next((f.type for f in getattr(info, "fields", ()) if f.encode_name == part), None)
    if isinstance(child, msgspec.inspect.UnionType):
        child = next((t for t in child.types if not isinstance(t, msgspec.inspect.NoneType)), None)
    return child
