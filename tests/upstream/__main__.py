"""`inv upstream`: fetch the source of the Python-Markdown that is installed, and run its tests on `Quick`.

Its tests are third-party text and stay out of this repository: pip fetches them, by hash of the lock, into a
scratch folder. What ran is compared with the same tests on the plain class: as many, and the same ones skipped.
"""

from __future__ import annotations

import importlib.metadata
import io
import subprocess
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path

import markdown
import markdown.core
import markdown.test_tools

from tagship.press.markup.quick import Quick

PLAIN = markdown.Markdown


def fetch(folder: Path) -> Path:
    """The unpacked source distribution."""
    version = importlib.metadata.version("markdown")
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*argv, f"markdown=={version}", "--dest", str(folder)], check=True)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return next(path for path in folder.iterdir() if path.is_dir())


def exchange(new: type[PLAIN], old: type[PLAIN]) -> None:
    """Put `new` where upstream's modules have `old`."""
    for module in (markdown, markdown.core, markdown.test_tools):
        for name, value in list(vars(module).items()):
            if value is old:
                setattr(module, name, new)


def run(source: Path) -> tuple[unittest.TestResult, int]:
    """Run all of its tests; the result, and how many converters were made."""
    for name in [name for name in sys.modules if name == "tests" or name.startswith("tests.")]:
        del sys.modules[name]
    made = 0

    class Counted(markdown.Markdown):
        def __init__(self, **settings: object) -> None:
            nonlocal made
            made += 1
            super().__init__(**settings)

    before = markdown.Markdown
    exchange(Counted, before)
    try:
        suite = unittest.TestLoader().discover(str(source / "tests"), top_level_dir=str(source))
        result = unittest.TextTestRunner(io.StringIO(), verbosity=0).run(suite)
    finally:
        exchange(before, Counted)
    return result, made


def main() -> int:
    """Run both and print what came of them; 1 if anything differs."""
    with tempfile.TemporaryDirectory(prefix="tagship-upstream-") as folder:
        source = fetch(Path(folder))
        plain, _ = run(source)
        exchange(Quick, PLAIN)
        quick, made = run(source)
    for name, result in (("plain", plain), ("quick", quick)):
        bad = len(result.failures) + len(result.errors)
        print(f"{name}: {result.testsRun} run, {len(result.skipped)} skipped, {bad} failed")
    print(f"quick made {made} converters; Python-Markdown {importlib.metadata.version('markdown')}")
    for test, trace in [*quick.failures, *quick.errors]:
        print(f"\n{test}\n{trace}")
    same = (plain.testsRun, len(plain.skipped)) == (quick.testsRun, len(quick.skipped))
    return 0 if same and quick.wasSuccessful() and plain.wasSuccessful() and made > 1000 else 1


if __name__ == "__main__":
    sys.exit(main())
