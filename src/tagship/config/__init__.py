"""tagship.yml to a frozen `Config`; every error carries file, line, column and the path of the key.

The annotated tagship.yml of this project is the documentation of the schema, and a test loads it.
Stages are read from the working tree; `app`, `site`, `build` and `targets` from the tag that ships.
msgspec checks the shapes (docs/adr/0002).
"""

from __future__ import annotations

from pathlib import Path

from tagship import yamltext
from tagship.config.checks import Checker
from tagship.config.databases import Rehearse, Schema, SchemaLimits
from tagship.config.schema import (
    FILE_NAME,
    LOCAL_STAGE,
    App,
    Author,
    Check,
    Config,
    Hook,
    Host,
    Ignored,
    Markup,
    Nginx,
    Notify,
    Phase,
    Probe,
    Rollout,
    Service,
    Shared,
    Site,
    Stage,
    Target,
    Tls,
    Unit,
)
from tagship.config.values import Argv, HostCommand, Portion, Seconds
from tagship.errors import ConfigError, UsageError

__all__ = [
    "FILE_NAME",
    "LOCAL_STAGE",
    "App",
    "Argv",
    "Author",
    "Check",
    "Config",
    "Hook",
    "Host",
    "HostCommand",
    "Ignored",
    "Markup",
    "Nginx",
    "Notify",
    "Phase",
    "Portion",
    "Probe",
    "Rehearse",
    "Rollout",
    "Schema",
    "SchemaLimits",
    "Seconds",
    "Service",
    "Shared",
    "Site",
    "Stage",
    "Target",
    "Tls",
    "Unit",
    "find_project",
    "load",
    "parse",
]


def find_project(start: Path) -> Path:
    """The nearest folder at or above `start` that holds a tagship.yml; raises `UsageError` if none does."""
    for folder in (start, *start.parents):
        if (folder / FILE_NAME).is_file():
            return folder
    raise UsageError(
        f"no {FILE_NAME} here or above",
        where=str(start),
        cure="cd into a project, or make one: tagship init DIR",
    )


def load(path: Path) -> Config:
    """Read and check a tagship.yml; raises `ConfigError`. One that is far too long isn't read at all."""
    try:
        with path.open("rb") as file:
            data = file.read(4 * yamltext.MAX_CHARACTERS + 1)
        if len(data) > 4 * yamltext.MAX_CHARACTERS:
            what = f"longer than {yamltext.MAX_CHARACTERS:,} characters"
            raise ConfigError(what, path=path, cure="it holds settings: keep anything else elsewhere")
        text = data.decode()
    except FileNotFoundError:
        raise ConfigError("there is no such file", path=path, cure="tagship init DIR makes one") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"not UTF-8 (byte {error.start})", path=path, cure="save it as UTF-8") from None
    return parse(text, path)


def parse(text: str, path: Path) -> Config:
    """Check the text of a tagship.yml; `path` is only for messages. Raises `ConfigError`."""
    try:
        document = yamltext.load(text)
    except yamltext.YamlProblem as problem:
        raise ConfigError(
            problem.what,
            path=path,
            line=problem.mark.line,
            column=problem.mark.column,
            key=problem.key,
            cure="mend the YAML; the annotated tagship.yml shows every key",
        ) from None
    checker = Checker(document, path)
    return checker.config()
