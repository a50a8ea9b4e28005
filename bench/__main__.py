"""`python -m bench [--times N] [NAME ...]`: measure and print tables; a time is never a test's assertion."""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from pathlib import Path

sys.path.insert(
    0, str(Path(__file__).resolve().parent.parent / "tests")
)  # the sshd that the contract tests start too

from bench import building, deploying, many, starting
from bench.peers import race
from bench.serving import main as serving

KINDS = {
    "starting": starting.main,
    "building": building.main,
    "deploying": deploying.main,
    "peers": race.main,
    "many": many.main,
    "serving": serving.main,
}


def main() -> None:
    """Read the command line and measure in a scratch folder."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--times", type=int, default=5, help="repetitions of each kind of run")
    parser.add_argument("kinds", nargs="*", choices=[[], *KINDS], help="what to measure (everything)")
    flags = parser.parse_args()
    print(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}; medians of {flags.times}")
    for name in flags.kinds or KINDS:
        with tempfile.TemporaryDirectory(prefix=f"tagship-bench-{name}-") as folder:
            KINDS[name](Path(folder), flags.times)


if __name__ == "__main__":
    main()
