"""`python -m crash.loop STAGE`: verbs one after another in one process, which spares each the start of a program.

Reads words (`deploy v1`, `rollback`) a line from stdin, and answers each with the JSON line of its outcome.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tagship.app.stage import open_stage
from tagship.errors import TagshipError
from tagship.events import ignore


def main() -> None:
    """Until the end of its input."""
    for line in sys.stdin:
        verb, *words = line.split()
        stage = open_stage(Path.cwd(), sys.argv[1], limit=(), listener=ignore)
        try:
            outcome = stage.deploy(words[0]) if verb == "deploy" else stage.rollback(None)
            answer = {"exit": outcome.exit, "release": outcome.release, "error": str(outcome.error or "")}
        except TagshipError as error:
            answer = {"exit": error.exit_code, "release": None, "error": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
