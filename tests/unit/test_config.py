"""tagship.yml is checked whole, and each mistake is named with file, line, column, key and cure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tagship import config, yamltext
from tagship.config import Argv, Config, Portion, Seconds
from tagship.errors import ConfigError, UsageError
from tagship.scaffold import init

ROOT = Path(__file__).parents[2]
ANNOTATED = ROOT / "tagship.yml"
APP = "app:\n  name: a\n  start: serve {socket}\n"
SITE = f"{APP}site:\n  title: T\n  url: https://example.org\n"


def parse(text: str) -> Config:
    return config.parse(text, Path("tagship.yml"))


def uncommented(text: str) -> str:
    """Every key that stands behind a `#` without a space, set."""
    return re.sub(r"(?m)^( *)#(?=[a-z]|- )", r"\1", text)


# --- the annotated file ------------------------------------------------------------------------------------------


def fields(kind: Any, data: Any, found: dict[tuple[str, str], Any]) -> None:
    """Collect (struct, key) -> field for every key that `data` sets, walking the types as msgspec sees them."""
    if isinstance(kind, msgspec.inspect.UnionType):
        kind = next(item for item in kind.types if not isinstance(item, msgspec.inspect.NoneType))
    if isinstance(kind, msgspec.inspect.StructType):
        for item in kind.fields:
            if item.encode_name in data:
                found[kind.cls.__name__, item.encode_name] = item
                fields(item.type, data[item.encode_name], found)
    elif isinstance(kind, msgspec.inspect.VarTupleType):
        for entry in data:
            fields(kind.item_type, entry, found)
    elif isinstance(kind, msgspec.inspect.DictType):
        for entry in data.values():
            fields(kind.value_type, entry, found)


def documented() -> Iterator[tuple[str, str, str]]:
    """(key, type, default) of every key of the annotated file, from the comment above it."""
    comment: list[str] = []
    for line in ANNOTATED.read_text(encoding="utf-8").splitlines():
        if re.match(r" *# ", line):
            comment.append(line.strip("# "))
        elif key := re.match(r" *#?(?:- )?([a-z_]+):", line):
            said = re.search(r"\(([a-z ]+); (.+?)\)$", " ".join(comment))
            assert said, f"{key[1]}: the comment above it must end with (type; default)"
            yield key[1], said[1], said[2]
            comment = []


def test_the_annotated_file_loads_as_it_is() -> None:
    """It is this project's own configuration."""
    assert config.load(ANNOTATED).app.name == "tagship-site"


def test_the_annotated_file_holds_every_key() -> None:
    """With all its keys set it still loads, and no key of the schema is missing from it."""
    text = uncommented(ANNOTATED.read_text(encoding="utf-8"))
    parse(text)
    found: dict[tuple[str, str], Any] = {}
    fields(msgspec.inspect.type_info(Config), yamltext.load(text).data, found)
    structs = [Config, config.App, config.Probe, config.Shared, config.Site, config.Author]
    structs += [config.Target, config.Stage, config.Host, config.Unit, config.Service, config.Nginx, config.Tls]
    structs += [config.Rollout, config.Hook, config.Notify, config.Schema, config.SchemaLimits, config.Rehearse]
    structs += [config.Check, config.Ignored, config.Markup]
    assert set(found) == {(s.__name__, name) for s in structs for name in s.__struct_fields__}


def test_the_annotated_file_tells_types_and_defaults() -> None:
    """What a comment says of a key is what the code does; two keys of one name may differ."""
    found: dict[tuple[str, str], Any] = {}
    data = yamltext.load(uncommented(ANNOTATED.read_text(encoding="utf-8"))).data
    fields(msgspec.inspect.type_info(Config), data, found)
    for key, kind, default in documented():
        candidates = [item for (_, name), item in found.items() if name == key]
        assert any(says(item, kind, default) for item in candidates) or key in {"local", "production", "worker"}, key


def says(item: Any, kind: str, default: str) -> bool:
    """Whether a comment's type and default are those of the field."""
    types = item.type.types if isinstance(item.type, msgspec.inspect.UnionType) else (item.type,)
    known = {name for one in types for name in KINDS.get(type(one), ())}
    known |= {
        {Seconds: "duration", Argv: "command", Portion: "text"}.get(getattr(one, "cls", None), "") for one in types
    }
    return kind in known and default_is(item, default)


KINDS = {
    msgspec.inspect.StrType: ("text", "path"),
    msgspec.inspect.LiteralType: ("text",),
    msgspec.inspect.IntType: ("number",),
    msgspec.inspect.BoolType: ("true or false",),
    msgspec.inspect.StructType: ("mapping",),
    msgspec.inspect.DictType: ("mapping",),
    msgspec.inspect.VarTupleType: ("list of paths", "list of texts", "list of commands", "list of mappings"),
}


def default_is(item: Any, said: str) -> bool:
    """Whether the field's default is the one that the comment says."""
    if item.required or said == "required":
        return item.required and said == "required"
    default = item.default_factory() if item.default is msgspec.NODEFAULT else item.default
    if said == "as below":
        return isinstance(default, msgspec.Struct)
    if isinstance(default, Seconds):
        return said == f"{default:g}s"
    stated = None if said == "none" else yamltext.load(said).data
    return stated == (list(default) if isinstance(default, tuple) else default)


def test_new_projects_get_the_same_annotations() -> None:
    """What `tagship init` writes differs from our own file in the values only."""

    def comments(text: str) -> list[str]:
        return [line for line in text.splitlines() if line.lstrip().startswith("#")]

    template = (init.FILES / "tagship.yml").read_text(encoding="utf-8")
    template = template.replace("%%NAME%%", "tagship-site").replace("%%PRODUCTION%%", "")
    assert comments(template) == comments(ANNOTATED.read_text(encoding="utf-8"))


# --- values ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("20s", 20), ("5m", 300), ("1h", 3600), ("1.5 h", 5400), ("7", 7), ("0.5", 0.5)],
)
def test_durations(text: str, seconds: float) -> None:
    """A number with ms, s, m or h; a bare number counts seconds."""
    assert parse(f"{APP}  probe: {{timeout: {text}}}\n").app.probe.timeout == seconds


@pytest.mark.parametrize(
    ("text", "argv"),
    [
        ("python -c \"print('a b')\" {socket}", ("python", "-c", "print('a b')", "{socket}")),
        ('[run, "a b", "{socket}"]', ("run", "a b", "{socket}")),
    ],
)
def test_commands_are_argument_lists(text: str, argv: tuple[str, ...]) -> None:
    """One line splits as a shell would split it; a list stays as it is."""
    quoted = text if text.startswith("[") else "'" + text.replace("'", "''") + "'"
    assert parse(f"app:\n  name: a\n  start: {quoted}\n").app.start == argv


def test_the_embedded_stage_is_always_there() -> None:
    """`local` needs no word in tagship.yml, and may have some."""
    assert parse(APP).stage("local").listens == "127.0.0.1:8000"
    assert parse(f"{APP}stages:\n  local: {{front: '127.0.0.1:9'}}\n").stage("local").front == "127.0.0.1:9"
    assert parse(f"{APP}stages:\n  local:\n").stage("local").keep == 5


def test_an_unknown_stage_names_the_known_ones() -> None:
    """Exit 2, and what could have been meant."""
    with pytest.raises(UsageError, match="no stage `prod`") as caught:
        parse(f"{APP}stages:\n  eu: {{hosts: [{{host: h}}]}}\n").stage("prod")
    assert caught.value.cure == "--stage one of: eu, local"


def test_the_project_is_found_from_inside(tmp_path: Path) -> None:
    """Verbs work from any folder of a project, and say what to do outside of one."""
    (tmp_path / "tagship.yml").write_text(APP)
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    assert config.find_project(inside) == tmp_path
    (tmp_path / "tagship.yml").unlink()
    with pytest.raises(UsageError, match=r"no tagship\.yml here or above"):
        config.find_project(inside)


# --- mistakes ----------------------------------------------------------------------------------------------------

STAGE = f"{APP}stages:\n  eu:\n    hosts: [{{host: h}}]\n"
MISTAKES = [
    ("", 1, 1, "", "must be a mapping"),
    ("- a\n", 1, 1, "", "must be a mapping"),
    ("site: {title: T, url: 'https://x'}\n", 1, 1, "", "needs `app`"),
    ("app:\n  name: a\n", 1, 1, "app", "needs `start`"),
    (f"{APP}  prob: {{}}\n", 4, 3, "app.prob", "did you mean `probe`?"),
    (f"{APP}  probe:\n    pth: /\n", 5, 5, "app.probe.pth", "did you mean `path`?"),
    (f"{APP}sight: {{}}\n", 4, 1, "sight", "did you mean `site`?"),
    (f"{APP}  package: 1\n", 4, 3, "app.package", "must be true or false, not a whole number"),
    (f"{APP}  name: b\n", 4, 3, "app.name", "given twice (first on line 2)"),
    ("app:\n  name: A_b\n  start: x {socket}\n", 2, 3, "app.name", "must be a-z, 0-9 and `-`"),
    ("app:\n  name: a\n  start: gunicorn\n", 3, 3, "app.start", "must listen on `{socket}`"),
    ("app:\n  name: a\n  start: ''\n", 3, 3, "app.start", "must name a command"),
    ("app:\n  name: a\n  start: a {socket} | b\n", 3, 3, "app.start", "`|` means nothing"),
    ('app:\n  name: a\n  start: "a \'b"\n', 3, 3, "app.start", "open quote"),
    (f"{APP}  prepare:\n    - a\n    - 5\n", 6, 7, "app.prepare[1]", "expected a command"),
    (f"{APP}  lock: ../requirements.lock\n", 4, 3, "app.lock", "stays inside"),
    (f"{APP}  env: /etc/env\n", 4, 3, "app.env", "stays inside"),
    (f"{APP}  shared: {{dirs: [a, ../b]}}\n", 4, 22, "app.shared.dirs[1]", "stays inside"),
    (f"{APP}  probe: {{path: x}}\n", 4, 11, "app.probe.path", "must begin with `/`"),
    (f"{APP}  probe: {{passes: 0}}\n", 4, 11, "app.probe.passes", "1 or more"),
    (f"{APP}  probe: {{timeout: soon}}\n", 4, 11, "app.probe.timeout", "expected a duration"),
    (f"{APP}  probe: {{timeout: true}}\n", 4, 11, "app.probe.timeout", "expected a duration"),
    (SITE.replace("https://example.org", "example.org"), 6, 3, "site.url", "scheme and host"),
    (SITE.replace("example.org", "example.org/blog"), 6, 3, "site.url", "scheme and host"),
    (f"{SITE}  timezone: Mars/Olympus\n", 7, 3, "site.timezone", "is not a time zone"),
    (f"{SITE}  timezone: ../../etc/passwd\n", 7, 3, "site.timezone", "is not a time zone"),
    (f"{SITE}  permalink: /{{jahr}}/{{slug}}/\n", 7, 3, "site.permalink", "has no {jahr}"),
    (f"{SITE}  permalink: /{{year}}/\n", 7, 3, "site.permalink", "hold {slug}"),
    (f"{SITE}  permalink: /../{{slug}}/\n", 7, 3, "site.permalink", "hold {slug}"),
    (f"{SITE}  paginate: 0\n", 7, 3, "site.paginate", "1 or more"),
    (f"{SITE}  posts: .\n", 7, 3, "site.posts", "stays inside"),
    (f"{APP}build_lock: /x\n", 4, 1, "build_lock", "stays inside"),
    (f"{APP}stages: [a]\n", 4, 1, "stages", "must be a mapping of stage names"),
    (f"{APP}stages:\n  EU: {{}}\n", 5, 3, "stages.EU", "a stage's name"),
    (f"{APP}stages:\n  eu: {{}}\n", 5, 3, "stages.eu", "names no host"),
    (f"{APP}stages:\n  local: {{hosts: [{{host: h}}]}}\n", 5, 11, "stages.local.hosts", "no hosts"),
    (f"{STAGE}    keep: 0\n", 7, 5, "stages.eu.keep", "1 or more"),
    (f"{STAGE}    rollout: {{batch: 0%}}\n", 7, 15, "stages.eu.rollout.batch", "a number of hosts"),
    (f"{STAGE}    rollout: {{batch: 101%}}\n", 7, 15, "stages.eu.rollout.batch", "a number of hosts"),
    (f"{STAGE}    service: {{user: 'a b'}}\n", 7, 15, "stages.eu.service.user", "not a user's name"),
    (f"{STAGE}    service: {{kind: docker}}\n", 7, 15, "stages.eu.service.kind", "docker"),
    (f"{STAGE}    nginx: {{names: ['a;b']}}\n", 7, 21, "stages.eu.nginx.names[0]", "not a host name"),
    (f"{STAGE}    nginx: {{listen: []}}\n", 7, 13, "stages.eu.nginx.listen", "a port"),
    (
        f"{STAGE}    nginx: {{tls: {{certificate: /a b, key: /k}}}}\n",
        7,
        19,
        "stages.eu.nginx.tls.certificate",
        "absolute",
    ),
    (f"{APP}  units: {{web: x}}\n", 4, 3, "app.units", "must be a mapping"),
    (f"{APP}  units: {{web: {{start: x}}}}\n", 4, 11, "app.units.web", "not `web`"),
    (f"{APP}  generated: [static]\n", 4, 15, "app.generated[0]", "below `app/`"),
    (f"{APP}  shared: {{dirs: [a, a/b]}}\n", 4, 22, "app.shared.dirs[1]", "lies inside a,"),
    (f"{APP}  shared: {{dirs: [a], links: [a/b/c]}}\n", 4, 31, "app.shared.links[0]", "lies inside a,"),
    (f"{APP}  generated: [app/a/b, app/a]\n", 4, 15, "app.generated[0]", "lies inside app/a,"),
    (f"{APP}  shared: {{dirs: [a;b], served: [a;b]}}\n", 4, 34, "app.shared.served[0]", "files of root's"),
    (f"{APP}  shared: {{served: [media]}}\n", 4, 21, "app.shared.served[0]", "one of `dirs`"),
    (f"{APP}hooks: [{{run: x}}]\n", 4, 9, "hooks[0]", "`before` a phase"),
    (f"{APP}hooks: [{{run: x, before: lunch}}]\n", 4, 18, "hooks[0].before", "lunch"),
    (f"{APP}notify: [{{form: json}}]\n", 4, 10, "notify[0]", "`url` or `env`"),
    (f"{APP}notify: [{{url: 'http://[h/x'}}]\n", 4, 11, "notify[0].url", "http or https URL"),
    (f"{APP}notify: [{{url: 'http://u:p@h/x'}}]\n", 4, 11, "notify[0].url", "http or https"),
    (f"{APP}notify: [{{url: 'http://h/x y'}}]\n", 4, 11, "notify[0].url", "an http or"),
    (f"{APP}notify: [{{url: 'ftp://h/x'}}]\n", 4, 11, "notify[0].url", "http or https URL"),
    ("app: {name: a}\n", 1, 1, "app", "needs `start`"),
    (f"{STAGE}    rollout: {{parallel: 0}}\n", 7, 15, "stages.eu.rollout.parallel", "1 or more"),
    (f"{STAGE}    drain: -1s\n", 7, 5, "stages.eu.drain", "expected a duration"),
    (f"{STAGE}    front: ':80'\n", 7, 5, "stages.eu.front", "ADDRESS:PORT"),
    (f"{STAGE}    front: a:99999\n", 7, 5, "stages.eu.front", "ADDRESS:PORT"),
    (f"{STAGE}    root: srv/app\n", 7, 5, "stages.eu.root", "absolute folder"),
    (f"{STAGE}    root: /srv/my app\n", 7, 5, "stages.eu.root", "files of root's"),
    (f'{STAGE}    root: "/srv/a\\nUser=root"\n', 7, 5, "stages.eu.root", "files of root's"),
    (STAGE.replace("host: h", "host: h, root: /srv/100%"), 6, 23, "stages.eu.hosts[0].root", "files of root's"),
    (f"{STAGE}    root: /srv/../etc\n", 7, 5, "stages.eu.root", "absolute folder"),
    (f"{STAGE}    root: /\n", 7, 5, "stages.eu.root", "absolute folder"),
    (STAGE.replace("host: h", "host: -oProxyCommand=x"), 6, 14, "stages.eu.hosts[0].host", "not a host name"),
    (STAGE.replace("{host: h}", "{host: h}, {host: h}"), 6, 25, "stages.eu.hosts[1].host", "named twice"),
    (STAGE.replace("host: h", "host: h, name: 'a,b'"), 6, 23, "stages.eu.hosts[0].name", "one word"),
    (STAGE.replace("host: h", 'host: h, name: "a\\nb"'), 6, 23, "stages.eu.hosts[0].name", "one word"),
    (f'{APP}  probe: {{host: "a\\r\\nX: y"}}\n', 4, 11, "app.probe.host", "blanks"),
    (f'{APP}  probe: {{path: "/a b"}}\n', 4, 11, "app.probe.path", "blanks"),
    (f'{APP}  shared: {{dirs: ["a\\nb"]}}\n', 4, 19, "app.shared.dirs[0]", "stays inside"),
    (STAGE.replace("host: h", "host: h, user: -oProxyCommand=x"), 6, 23, "stages.eu.hosts[0].user", "a user's name"),
    (STAGE.replace("host: h", "host: h, user: 'a b'"), 6, 23, "stages.eu.hosts[0].user", "a user's name"),
    (STAGE.replace("host: h", "host: h, port: 65536"), 6, 23, "stages.eu.hosts[0].port", "from 1 to 65535"),
    (STAGE.replace("host: h", "host: h, name: ''"), 6, 23, "stages.eu.hosts[0].name", "one word"),
    (f'{APP}hooks: [{{before: flip, run: ["a\\0b"]}}]\n', 4, 24, "hooks[0].run", "NUL"),
    (STAGE.replace("host: h", "host: h, usr: x"), 6, 23, "stages.eu.hosts[0].usr", "did you mean `user`?"),
]


@pytest.mark.parametrize(
    ("text", "line", "column", "key", "what"), MISTAKES, ids=[m[3] + ":" + m[4] for m in MISTAKES]
)
def test_a_mistake_is_named_where_it_stands(text: str, line: int, column: int, key: str, what: str) -> None:
    """File, line, column, key, what is wrong and a cure: enough to mend it without searching."""
    with pytest.raises(ConfigError) as caught:
        parse(text)
    error = caught.value
    assert what in error.what
    assert (error.line, error.column, error.key) == (line, column, key)
    assert error.where == f"tagship.yml:{line}:{column}"
    assert error.cure
    assert error.exit_code == 2


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    """No file, no UTF-8 and no end of it are mistakes too."""
    path = tmp_path / "tagship.yml"
    with pytest.raises(ConfigError, match="there is no such file"):
        config.load(path)
    path.write_bytes(b"app: \xff")
    with pytest.raises(ConfigError, match=r"not UTF-8 \(byte 5\)"):
        config.load(path)
    with path.open("wb") as file:
        file.truncate(1 << 40)  # read whole, it would end us
    with pytest.raises(ConfigError, match="longer than 1,000,000 characters"):
        config.load(path)
