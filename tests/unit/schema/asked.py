"""A program as a host starts it in a release's environment, asked directly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tagship.host import schema_program, schema_talk

LIMITS = {"lock_timeout": 2, "statement_timeout": 30}


class Told(Exception):
    """What it said instead of an answer: `what`, `cure`, `data`."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(error["what"])
        self.cure: str = error["cure"]
        self.data: dict[str, Any] = error["data"]


class Asked:
    """One program, in a tree."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def ask(self, ask: str, database: str = "default", **more: Any) -> dict[str, Any]:
        """An answer; raises `Told`."""
        return self.send({"ask": ask, "database": database, **more})

    def send(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """The same, of a whole message."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise Told(answer["error"])
        found: dict[str, Any] = answer["ok"]
        return found

    def state(self) -> dict[str, Any]:
        """What it tells of its first database."""
        found: dict[str, Any] = self.ask("state", sizes=False)["databases"][0]
        return found

    def step(self, id: str) -> dict[str, Any]:
        """What its code says of a step."""
        steps = self.ask("heads")["databases"][0]["steps"]
        return next(step for step in steps if step["id"] == id)

    def up(self, *steps: str) -> list[dict[str, Any]]:
        """Apply steps, or all that are pending."""
        wanted = list(steps) or self.state()["pending"]
        if wanted:
            self.ask("begin", steps=wanted)
        done = [self.ask("move", step=step, down=False) for step in wanted]
        if wanted:
            self.ask("finish", steps=wanted)
        return done

    def down(self, *steps: str) -> list[dict[str, Any]]:
        """Reverse steps."""
        return [self.ask("move", step=step, down=True) for step in steps]

    def loss(self, step: str) -> list[tuple[str, str | None, int]]:
        """`(table, column, rows)` that reversing a step would drop."""
        return [
            (one["table"], one["column"], one["rows"])
            for one in self.ask("loss", step=step, adds=None)["loss"]
            if one["rows"] != 0
        ]


@contextmanager
def asked(
    tree: Path,
    files: Mapping[str, str],
    item: Mapping[str, Any],
    urls: Mapping[str, str] | None = None,
    python: str = sys.executable,
) -> Iterator[Asked]:
    """A program that runs in `tree`, with `files` written there first."""
    for name, text in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    env = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONDONTWRITEBYTECODE": "1",
        **(urls or {}),
    }
    process = subprocess.Popen(
        [python, "-X", "utf8", "-c", schema_program.BOOT],
        cwd=tree,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        text = schema_talk.text_of("schema_program").encode()
        assert process.stdin is not None
        process.stdin.write(b"%d\n%s" % (len(text), text))
        made = Asked(process)
        adapter = schema_talk.text_of(f"schema_{item['kind']}")
        made.send({"item": item, "text": adapter, "session": "tagship-0001-1", "limits": LIMITS})
        yield made
