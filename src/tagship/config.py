"""tagship.yml to a frozen `Config`; every error carries file, line, column and the path of the key.

The annotated tagship.yml of this project is the documentation of the schema, and a test loads it.
Stages are read from the working tree; `app`, `site`, `build` and `targets` from the tag that ships.
msgspec checks the shapes (docs/adr/0002).
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path, PurePosixPath
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from tagship import yamltext
from tagship.errors import ConfigError, UsageError

FILE_NAME = "tagship.yml"
LOCAL_STAGE = "local"

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}\Z")
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._:-]{0,252})\Z")
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)?\Z")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


class Seconds(float):
    """A duration in seconds; written `250ms`, `20s`, `5m`, `1h` or a bare number of seconds."""


class Argv(tuple[str, ...]):
    """A command as an argument list; written as a list, or as one line split as a shell splits words.

    No shell ever runs it: `|`, `>`, `&&`, `*` and `$NAME` have no meaning.
    """

    __slots__ = ()


class Probe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a started release is asked whether it is well."""

    path: str = "/"
    status: int = 200
    timeout: Seconds = Seconds(20)
    """Seconds within which `passes` good answers in a row must have come."""
    passes: int = 1
    host: str = "localhost"
    """The Host header of the request."""


class Shared(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What outlives releases: paths inside the app's tree that are links into `shared/` on the host."""

    dirs: tuple[str, ...] = ()
    """Made on the host when they are missing."""
    links: tuple[str, ...] = ()
    """Files that must be there already; a missing one refuses the deploy."""


class App(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The application: from the tag."""

    name: str
    start: Argv
    """`{socket}` stands for the path of the unix socket to listen on. Runs in the tag's tree."""
    python: str = "python3"
    """The interpreter on the hosts that the virtualenv is made from."""
    package: bool = False
    """Build the project's own wheel and install it too."""
    lock: str = "requirements.lock"
    wheels: str = "wheels"
    """A folder of the tag with wheels of what exists only as source; locked by hash like all others."""
    prepare: tuple[Argv, ...] = ()
    """Run in the staged release on each host, before anything is public (collectstatic, compilemessages)."""
    smoke: Argv | None = None
    """Run in the staged release on each host; a failure puts everything back."""
    probe: Probe = Probe()
    shared: Shared = Shared()
    env: str | None = None
    """A file below `shared/` on the host, mode 0600, with NAME=value lines for the application."""


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A kind of host to select wheels for, where the survey should not decide."""

    python: str
    """`3.11`"""
    platform: str
    """The newest platform tag it takes, such as `manylinux_2_36_x86_64`."""


class Author(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: str
    email: str | None = None


class Site(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The press: from the tag."""

    title: str
    url: str
    """Where the site will be seen, scheme and host, no trailing slash; feeds and the sitemap need it."""
    description: str = ""
    language: str = "en"
    author: Author | None = None
    timezone: str = "UTC"
    permalink: str = "/{year}/{month}/{slug}/"
    paginate: int = 10
    """Posts on each page of the index."""
    feed_posts: int = 20
    posts: str = "posts"
    source: str = "site"
    """The folder with templates/, assets/ and pages/."""


class Host(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One machine of a stage, as SSH reaches it; what is left out is asked of `ssh -G`."""

    host: str
    user: str | None = None
    port: int | None = None
    identity: str | None = None
    """A private key file on this machine."""
    known_hosts: str | None = None
    """A known_hosts file to use instead of the user's own."""
    root: str | None = None
    """Overrides the stage's root for this host."""
    front: str | None = None
    """Overrides the stage's front for this host."""
    name: str | None = None
    """How plans and messages call it; the address when left out."""


class Stage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A fleet and its settings: from the working tree."""

    hosts: tuple[Host, ...] = ()
    """Empty only for the embedded `local` stage."""
    root: str | None = None
    """The folder of the app on each host; `/srv/APP` when left out, `.tagship/local` for `local`."""
    front: str = "127.0.0.1:8000"
    """ADDRESS:PORT of the front door."""
    keep: int = 5
    """Good releases kept on each host beside the current one."""
    drain: Seconds = Seconds(30)
    """How long open connections of the old release may take before it is stopped."""
    parallel: int = 32
    """Hosts worked on at a time."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole tagship.yml."""

    app: App
    site: Site | None = None
    build: tuple[Argv, ...] = ()
    """Run on this machine in a scratch copy of the tag, before the press, in a virtualenv of `build_lock`."""
    build_lock: str = "requirements.lock"
    targets: tuple[Target, ...] = ()
    stages: dict[str, Stage] = {}

    def stage(self, name: str) -> Stage:
        """The stage called `name`; raises `UsageError` naming the ones there are."""
        try:
            return self.stages[name]
        except KeyError:
            known = ", ".join(sorted(self.stages))
            raise UsageError(
                f"there is no stage `{name}`", where=FILE_NAME, cure=f"--stage one of: {known}"
            ) from None


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
    """Read and check a tagship.yml; raises `ConfigError`."""
    try:
        text = path.read_text(encoding="utf-8")
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
    checker = _Checker(document, path)
    return checker.config()


class _Checker:
    def __init__(self, document: yamltext.Document, path: Path) -> None:
        self.document = document
        self.path = path

    def error(self, what: str, at: yamltext.Path, cure: str = "") -> ConfigError:
        mark = self.document.mark(at)
        return ConfigError(
            what,
            path=self.path,
            line=mark.line,
            column=mark.column,
            key=yamltext.dotted(at),
            cure=cure or "the annotated tagship.yml shows every key and its type",
        )

    def config(self) -> Config:
        data = self.document.data
        if not isinstance(data, dict):
            raise self.error("must be a mapping with at least `app`", ())
        stages_data = data.get("stages", {})
        if not isinstance(stages_data, dict):
            raise self.error("must be a mapping of stage names", ("stages",))
        config: Config = self.convert({k: v for k, v in data.items() if k != "stages"}, Config, ())
        stages = {LOCAL_STAGE: Stage()}
        for name, value in stages_data.items():
            if not _NAME.match(name):
                raise self.error("a stage's name is a-z, 0-9 and `-`, at most 31 characters", ("stages", name))
            stages[name] = self.convert({} if value is None else value, Stage, ("stages", name))
        config = msgspec.structs.replace(config, stages=stages)
        self.check_app(config.app)
        self.check_site(config.site)
        self.check_inside(config.build_lock, ("build_lock",))
        for name, stage in stages.items():
            self.check_stage(name, stage)
        return config

    def convert(self, data: Any, kind: Any, prefix: yamltext.Path) -> Any:
        try:
            return msgspec.convert(data, kind, dec_hook=_decode)
        except msgspec.ValidationError as error:
            what, at = _where(str(error))
            unknown = re.search(r"unknown field `(.*)`", what)
            if unknown:
                at = (*at, unknown[1])
                what = f"there is no such key{_nearest(unknown[1], kind, at[:-1])}"
            raise self.error(_plain(what), (*prefix, *at)) from None

    def check_app(self, app: App) -> None:
        if not _NAME.match(app.name):
            raise self.error("must be a-z, 0-9 and `-`, begin with a letter, at most 31 characters", ("app", "name"))
        if not app.start:
            raise self.error("must name a command", ("app", "start"))
        if not any("{socket}" in word for word in app.start):
            raise self.error("must listen on `{socket}`", ("app", "start"), "for gunicorn: --bind unix:{socket}")
        for key in ("lock", "wheels"):
            self.check_inside(getattr(app, key), ("app", key))
        for kind in ("dirs", "links"):
            for index, name in enumerate(getattr(app.shared, kind)):
                self.check_inside(name, ("app", "shared", kind, index))
        if app.env is not None:
            self.check_inside(app.env, ("app", "env"))
        if not app.probe.path.startswith("/"):
            raise self.error("must begin with `/`", ("app", "probe", "path"))
        if app.probe.passes < 1:
            raise self.error("must be 1 or more", ("app", "probe", "passes"))

    def check_site(self, site: Site | None) -> None:
        if site is None:
            return
        if not re.match(r"https?://[^/\s]+\Z", site.url):
            raise self.error("must be scheme and host without a path, such as https://example.org", ("site", "url"))
        try:
            ZoneInfo(site.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise self.error("is not a time zone", ("site", "timezone"), "an IANA name: Europe/Berlin") from None
        for key in ("posts", "source"):
            self.check_inside(getattr(site, key), ("site", key))
        for key in ("paginate", "feed_posts"):
            if getattr(site, key) < 1:
                raise self.error("must be 1 or more", ("site", key))
        self.check_permalink(site.permalink)

    def check_permalink(self, pattern: str) -> None:
        key = ("site", "permalink")
        known = {"year", "month", "day", "slug"}
        unknown = set(re.findall(r"\{([^}]*)\}", pattern)) - known
        if unknown:
            raise self.error(f"has no {{{sorted(unknown)[0]}}}", key, "use {year} {month} {day} {slug}")
        if "{slug}" not in pattern or not pattern.startswith("/") or ".." in pattern:
            raise self.error("must begin with `/` and hold {slug}", key)

    def check_stage(self, name: str, stage: Stage) -> None:
        at: yamltext.Path = ("stages", name)
        if name == LOCAL_STAGE and stage.hosts:
            raise self.error("the embedded stage has no hosts", (*at, "hosts"), "give the stage another name")
        if name != LOCAL_STAGE and not stage.hosts:
            raise self.error("names no host", at, "hosts: [{host: web1.example.org}]")
        if stage.keep < 1:
            raise self.error("must be 1 or more: a rollback needs somewhere to go", (*at, "keep"))
        if stage.parallel < 1:
            raise self.error("must be 1 or more", (*at, "parallel"))
        self.check_front(stage.front, (*at, "front"))
        if stage.root is not None and name != LOCAL_STAGE:
            self.check_root(stage.root, (*at, "root"))
        names = set()
        for index, host in enumerate(stage.hosts):
            here = (*at, "hosts", index)
            if not _HOST.match(host.host):
                raise self.error("is not a host name or address", (*here, "host"))
            if host.front is not None:
                self.check_front(host.front, (*here, "front"))
            if host.root is not None:
                self.check_root(host.root, (*here, "root"))
            if (host.name or host.host) in names:
                raise self.error("is named twice in this stage", (*here, "host"), "give one of them a `name`")
            names.add(host.name or host.host)

    def check_front(self, front: str, at: yamltext.Path) -> None:
        address, _, port = front.rpartition(":")
        if not address or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
            raise self.error("must be ADDRESS:PORT, such as 127.0.0.1:8000", at)

    def check_root(self, root: str, at: yamltext.Path) -> None:
        path = PurePosixPath(root)
        if not path.is_absolute() or ".." in path.parts or len(path.parts) < 2:
            raise self.error("must be an absolute folder below /, without `..`", at)

    def check_inside(self, name: str, at: yamltext.Path) -> None:
        path = PurePosixPath(name)
        if not name or path.is_absolute() or ".." in path.parts or "\0" in name or str(path) == ".":
            raise self.error("must be a relative path that stays inside", at)


def _decode(kind: type, value: Any) -> Any:
    if kind is Seconds:
        match = _SECONDS.match(str(value)) if isinstance(value, str | int | float) else None
        if match is None or isinstance(value, bool):
            raise ValueError("Expected a duration such as `20s`")
        return Seconds(float(match[1]) * _UNITS[match[2]])
    if kind is Argv:
        if isinstance(value, list) and value and all(isinstance(word, str) for word in value):
            return Argv(value)
        if not isinstance(value, str):
            raise ValueError("Expected a command: one line of text, or a list of words")
        try:
            words = shlex.split(value)
        except ValueError as error:
            raise ValueError(f"A command with an open quote ({error})") from None
        for word in words:
            if word in {"|", "||", "&&", "&", ";", ">", ">>", "<"}:
                raise ValueError(f"No shell runs this, so `{word}` means nothing; put it into a script")
        return Argv(words)
    raise NotImplementedError(kind)


def _where(message: str) -> tuple[str, yamltext.Path]:
    """msgspec's ``Expected `int`, got `str` - at `$.app.probe[0]` `` as sentence and path."""
    match = re.match(r"(.*?) - at `\$(.*)`\Z", message, re.S)
    if match is None:
        return message, ()
    parts: list[str | int] = []
    for name, index in re.findall(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]", match[2]):
        parts.append(name or (int(index) if index.isdigit() else index))
    return match[1], tuple(parts)


def _plain(what: str) -> str:
    """msgspec's sentence in the words of the annotated tagship.yml."""
    types = re.match(r"Expected `([^`]*)`, got `([^`]*)`\Z", what)
    if types:
        wanted, given = (_WORDS.get(kind.removesuffix(" | null"), kind) for kind in types.groups())
        return f"must be {wanted}, not {given}"
    missing = re.match(r"Object missing required field `(.*)`\Z", what)
    return f"needs `{missing[1]}`" if missing else what[:1].lower() + what[1:]


def _nearest(name: str, kind: Any, path: yamltext.Path) -> str:
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
