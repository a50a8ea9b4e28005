"""What the helper reads and takes by itself, without the modules that would do it for them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import resources
from typing import Any

import pytest

GOOD = {"helper": 1, "app": "blog", "stage": "live", "root": "/srv/blog", "deploy": "deploy", "user": "blog-live"}


@pytest.fixture(scope="module")
def helper() -> dict[str, Any]:
    """The names of the file that `fab setup` installs."""
    text = resources.files("tagship.ship.setup").joinpath("files", "helper.py").read_text("utf-8")
    names: dict[str, Any] = {"__name__": "helper"}
    exec(compile(text, "helper.py", "exec"), names)
    return names


@pytest.mark.parametrize("spaces", [{}, {"indent": 1}, {"separators": (",", ":")}])
def test_settings_are_read_as_json(helper: dict[str, Any], spaces: dict[str, Any]) -> None:
    """However they are spaced, and in whatever order."""
    for values in (GOOD, dict(reversed(GOOD.items())), {"a": ""}, {"a": 7}, {"a,b": "{c: d}"}):
        assert helper["read_object"](json.dumps(values, **spaces) + "\n") == values


@pytest.mark.parametrize(
    "text",
    [
        "{", "{}", "[]", "null", '"a"', "1", '{"a"}', '{"a":}', '{"a": 1', '{"a": 1,}', '{"a": 1}}', '{"a": "b"}x',
        '{"a": "b" "c": "d"}', '{"a": "b",}', '{"a" "b"}', '{"a": null}', '{"a": true}', '{"a": -1}', '{"a": 1.5}',
        '{"a": ["b"]}', '{"a": {"b": "c"}}', r'{"a": "\u0041"}', '{"a": 1 2}', '{"a": "b", "c"}', '{"a":: "b"}',
        '{"a": "b",, "c": "d"}', '{,"a": "b"}', '{"a": "b"}{"c": "d"}', '{"a": "b"}, "c": "d"}', '{"a": 1234567890}',
    ],
)  # fmt: skip
def test_all_else_is_damaged(helper: dict[str, Any], text: str) -> None:
    """What isn't such an object is no settings, though some of it is JSON."""
    with pytest.raises(ValueError, match=re.escape(text)):
        helper["read_object"](text)


def test_names_and_instances_are_those_of_the_grammar(helper: dict[str, Any]) -> None:
    """ASCII letters, digits and dashes, no longer than a unit's name may be."""
    words = ["", "a", "a-1", "A", "-a", "1a", "a_b", "ä", "a\n", "a" * 63, "a" * 64, "0001", "001", "0" * 9, "0" * 10,
             "0001.worker", "0001.", ".worker", "0001.a.b", "0001.1", "٠٠٠١", "0001\n", "0001." + "a" * 31,
             "0001." + "a" * 32]  # fmt: skip
    for word in words:
        assert helper["is_name"](word) == bool(re.fullmatch("[a-z][a-z0-9-]{0,62}", word)), word
        instance = re.fullmatch(r"[0-9]{4,9}(?:\.[a-z][a-z0-9-]{0,30})?", word)
        assert helper["is_instance"](word) == bool(instance), word


@pytest.mark.parametrize(("limit", "status"), [("None", 7), ("30", 7), ("0.2", 124)])
def test_a_command_over_its_time_is_ended(limit: str, status: int) -> None:
    """So that what `stop` waits for in vain can be killed; one that ends in time tells its own status."""
    file = resources.files("tagship.ship.setup").joinpath("files", "helper.py")
    argv = ["/bin/sh", "-c", "exit 7"] if status == 7 else ["/bin/sleep", "600"]
    code = f"h = {{'__name__': 'h'}}; exec(open({str(file)!r}).read(), h); print(h['begin']({argv!r}, limit={limit}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == (f"{status}\n", "")
