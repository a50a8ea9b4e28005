"""A schema of a tag's own: steps of one word in a file, and a database of SQLite's in `shared/` that knows them."""

from __future__ import annotations

PROGRAM = '''\
"""Steps are the lines of steps.txt; each makes a table of its name. One that `data/stuck` names can't go down."""

import json
import pathlib
import sqlite3
import sys

STEPS = pathlib.Path("steps.txt").read_text().split()
stuck = pathlib.Path("data/stuck")
connection = sqlite3.connect("data/steps.db")
connection.execute("CREATE TABLE IF NOT EXISTS moved (step TEXT)")
verb, *words = sys.argv[1:]
if verb == "heads":
    for step in STEPS:
        print(json.dumps({"id": step, "adds": [], "digest": step}))
elif verb == "applied":
    for (step,) in connection.execute("SELECT step FROM moved ORDER BY rowid"):
        print(step)
elif verb == "sql":
    print("CREATE TABLE" if words[1] == "up" else "DROP TABLE", words[0])
elif verb == "up":
    with connection:
        connection.execute("CREATE TABLE " + words[0] + " (id INTEGER)")
        connection.execute("INSERT INTO moved VALUES (?)", words)
elif stuck.exists() and stuck.read_text().strip() == words[0]:
    sys.exit(words[0] + " can't go down: the table is in use")
else:
    with connection:
        connection.execute("DROP TABLE " + words[0])
        connection.execute("DELETE FROM moved WHERE step = ?", words)
'''
APP = {
    "schema": [{"kind": "command", "name": "main", "run": "python3 steps.py"}],
    "shared": {"dirs": ["data"]},
}


def files(*steps: str) -> dict[str, str]:
    """What a tag with these steps brings."""
    return {"steps.py": PROGRAM, "steps.txt": "\n".join(steps) + "\n"}
