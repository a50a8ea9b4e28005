"""`python -m bench [--times N] [NAME ...]`: measure and print tables; a time is never a test's assertion."""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(
    0, str(Path(__file__).resolve().parent.parent / "tests")
)  # the sshd that the contract tests start too

from bench import building, deploying, many, starting
from bench.peers import race
from bench.press import race as press
from bench.serving import main as serving
from lab.errors import LabError

KINDS: dict[str, tuple[Callable[[Path, int], None], int]] = {
    "starting": (starting.main, 5),
    "building": (building.main, 5),
    "deploying": (deploying.main, 5),
    "peers": (race.main, 5),
    "many": (many.main, 5),
    "serving": (serving.main, 20),
    "press": (press.main, 5),
}
"""What each is measured by, and how often unless told otherwise."""

USUAL = [name for name in KINDS if name not in {"serving", "press"}]
"""What is measured where nothing is named; `serving` takes the better part of an hour, and `press` fetches tools."""


def main() -> None:
    """Read the command line and measure in a scratch folder."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--posts", type=int, default=1_000, help="of how many posts the blog of `press` is (1000)")
    parser.add_argument("--times", type=int, help="repetitions of each kind of run (5; serving: 20)")
    parser.add_argument("kinds", nargs="*", choices=[[], *KINDS], help=f"what to measure ({', '.join(USUAL)})")
    flags = parser.parse_args()
    print(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    for name in flags.kinds or USUAL:
        measure, times = KINDS[name]
        with tempfile.TemporaryDirectory(prefix=f"tagship-bench-{name}-") as folder:
            try:
                if name == "press":
                    press.main(Path(folder), flags.times or times, flags.posts)
                else:
                    measure(Path(folder), flags.times or times)
            except LabError as error:
                sys.exit(str(error))


if __name__ == "__main__":
    main()
