"""What a tagship.yml must be beyond its shape; every error carries file, line, column and the path of the key."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from tagship import yamltext
from tagship.config import redirects, webhooks, words
from tagship.config.databases import KEYS as DATABASE_KEYS
from tagship.config.schema import LOCAL_STAGE, App, Config, Site, Stage
from tagship.config.values import decode
from tagship.errors import ConfigError

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}\Z")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}\Z")
_LOGIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+\\$-]{0,63}\Z")
_SIZE = re.compile(r"[1-9][0-9]{0,8}[kKmMgG]?\Z")
_SERVER_NAME = re.compile(r"(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})\Z")
_LISTEN = re.compile(r"(?:(?:[0-9.]{7,15}|\[[0-9a-fA-F:]+\]):)?[0-9]{1,5}\Z")
_FILE = re.compile(r"/[A-Za-z0-9._/-]+\Z")
_PLAIN = "may have letters, digits and any of . _ - / in it: it stands in files of root's"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_BLANK = re.compile(r"[\s\x00-\x1f\x7f]")
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._:-]{0,252})\Z")
_DATABASE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}\Z")
_CALLED = re.compile(r"[^\s,\x00-\x1f\x7f]{1,100}\Z")


class Checker:
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
        if config.app.start is None and not config.app.units and config.site is None:
            raise self.error("needs `start`, or there must be a `site` to serve", ("app",))
        self.check_hooks(config)
        self.check_site(config.site)
        self.check_inside(config.build_lock, ("build_lock",))
        for name, stage in stages.items():
            self.check_stage(name, stage)
        return config

    def convert(self, data: Any, kind: Any, prefix: yamltext.Path) -> Any:
        try:
            return msgspec.convert(data, kind, dec_hook=decode)
        except msgspec.ValidationError as error:
            what, at = words.where(str(error))
            unknown = re.search(r"unknown field `(.*)`", what)
            if unknown:
                at = (*at, unknown[1])
                what = f"there is no such key{words.nearest(unknown[1], kind, at[:-1])}"
            raise self.error(words.plain(what), (*prefix, *at)) from None

    def check_app(self, app: App) -> None:
        if not _NAME.match(app.name):
            raise self.error("must be a-z, 0-9 and `-`, begin with a letter, at most 31 characters", ("app", "name"))
        if app.start is not None:
            if not app.start:
                raise self.error("must name a command", ("app", "start"))
            if not any("{socket}" in word for word in app.start):
                cure = "for gunicorn: --bind unix:{socket}"
                raise self.error("must listen on `{socket}`", ("app", "start"), cure)
        self.check_units(app)
        for key in ("lock", "wheels"):
            self.check_inside(getattr(app, key), ("app", key))
        for kind in ("dirs", "links"):
            for index, name in enumerate(getattr(app.shared, kind)):
                self.check_inside(name, ("app", "shared", kind, index))
                self.check_apart(name, app.shared.dirs, ("app", "shared", kind, index))
        if app.env is not None:
            self.check_inside(app.env, ("app", "env"))
        self.check_schema(app)
        if not app.probe.path.startswith("/"):
            raise self.error("must begin with `/`", ("app", "probe", "path"))
        for key in ("path", "host"):
            if _BLANK.search(getattr(app.probe, key)):
                raise self.error("can't have blanks: it stands in a line of HTTP", ("app", "probe", key))
        if app.probe.passes < 1:
            raise self.error("must be 1 or more", ("app", "probe", "passes"))

    def check_units(self, app: App) -> None:
        for name, unit in app.units.items():
            if not _NAME.match(name) or name == "web":
                raise self.error("a unit's name is a-z, 0-9 and `-`, and not `web`", ("app", "units", name))
            if not unit.start:
                raise self.error("must name a command", ("app", "units", name, "start"))
            self.check_roles(unit.roles, ("app", "units", name, "roles"))
        for index, name in enumerate(app.generated):
            self.check_inside(name, ("app", "generated", index))
            if PurePosixPath(name).parts[0] not in ("app", "public") or len(PurePosixPath(name).parts) < 2:
                raise self.error("must lie below `app/` or `public/`", ("app", "generated", index))
            self.check_apart(name, app.generated, ("app", "generated", index))
        for index, name in enumerate(app.shared.served):
            if name not in app.shared.dirs:
                raise self.error("must be one of `dirs` too", ("app", "shared", "served", index))
            if not _FILE.match(f"/{name}"):
                raise self.error(_PLAIN, ("app", "shared", "served", index))

    def check_schema(self, app: App) -> None:
        """Every database has one name, and what its kind needs; what another kind needs has no meaning for it."""
        taken: set[str] = set()
        for index, schema in enumerate(app.schema):
            at: yamltext.Path = ("app", "schema", index)
            for name in schema.names:
                if not _DATABASE.match(name):
                    raise self.error("a database's name is letters, digits, `_` and `-`", at)
                if name in taken:
                    raise self.error(f"names the database {name} again", at, "give one of them another `name`")
                taken.add(name)
            for key, kinds in DATABASE_KEYS.items():
                if schema.kind not in kinds and key in self.document.data["app"]["schema"][index]:
                    raise self.error(f"is for {' and '.join(kinds)}, not for {schema.kind}", (*at, key))
            for key in ("url", "run"):
                if schema.kind == {"url": "sql", "run": "command"}[key] and not getattr(schema, key):
                    raise self.error(f"needs `{key}`", at)
            for key in ("config", "folder"):
                self.check_inside(getattr(schema, key), (*at, key))
        if app.rehearse.dump is not None and len(taken) > 1 and "{database}" not in app.rehearse.dump:
            what = "must have `{database}` in it, for there are several"
            raise self.error(what, ("app", "rehearse", "dump"), "/var/backups/{database}-*.dump")
        for key in ("before_up", "schema_limits", "rehearse"):
            if key in self.document.data["app"] and not app.schema:
                raise self.error("needs a `schema`", ("app", key))

    def check_roles(self, roles: tuple[str, ...], at: yamltext.Path) -> None:
        for index, role in enumerate(roles):
            if not _NAME.match(role):
                raise self.error("a role is a-z, 0-9 and `-`", (*at, index))

    def check_hooks(self, config: Config) -> None:
        for index, hook in enumerate(config.hooks):
            if (hook.before is None) == (hook.after is None):
                raise self.error("stands either `before` a phase or `after` one", ("hooks", index))
            if hook.on == "hosts" and hook.before == "stage":
                what = "can't run on hosts before `stage`: the release isn't there yet"
                raise self.error(what, ("hooks", index), "`after: stage`, or `on: here`")
            if hook.on == "here" and hook.roles:
                raise self.error("are for hooks `on: hosts`", ("hooks", index, "roles"))
            if not hook.run:
                raise self.error("must name a command", ("hooks", index, "run"))
            self.check_roles(hook.roles, ("hooks", index, "roles"))
        for index, notify in enumerate(config.notify):
            if (notify.url is None) == (notify.env is None):
                raise self.error("needs either `url` or `env`", ("notify", index))
            if notify.url is not None and not webhooks.is_address(notify.url):
                raise self.error("must be an http or https URL", ("notify", index, "url"), webhooks.CURE)

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
        self.check_redirects(site)
        for key in ("paginate", "feed_posts"):
            if getattr(site, key) < 1:
                raise self.error("must be 1 or more", ("site", key))
        self.check_permalink(site.permalink)

    def check_redirects(self, site: Site) -> None:
        taken: dict[str, str] = {}
        for old, new in site.redirects.items():
            at: yamltext.Path = ("site", "redirects", old)
            try:
                first = taken.setdefault(redirects.answered(old), old)
                redirects.target(new)
            except ValueError as error:
                raise self.error(str(error), at) from None
            if first != old:
                raise self.error(f"is the same address as {first}", at, "take one of them out")

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
        for key, least in (("parallel", 1), ("canary", 0)):
            if getattr(stage.rollout, key) < least:
                raise self.error(f"must be {least} or more", (*at, "rollout", key))
        if name == LOCAL_STAGE and stage.runs_units:
            raise self.error("the embedded stage has plain processes", (*at, "service", "kind"))
        if stage.front is not None:
            self.check_front(stage.front, (*at, "front"))
        self.check_service(stage, at)
        if stage.root is not None and name != LOCAL_STAGE:
            self.check_root(stage.root, (*at, "root"), in_units=stage.runs_units)
        self.check_hosts(stage, at)
        called = [host.name or host.host for host in stage.hosts]
        if stage.migrate_on is not None and stage.migrate_on not in called:
            raise self.error("names no host of this stage", (*at, "migrate_on"), f"its hosts: {', '.join(called)}")

    def check_hosts(self, stage: Stage, at: yamltext.Path) -> None:
        names = set()
        for index, host in enumerate(stage.hosts):
            here = (*at, "hosts", index)
            if not _HOST.match(host.host):
                raise self.error("is not a host name or address", (*here, "host"))
            if host.user is not None and not _LOGIN.match(host.user):
                raise self.error("is not a user's name", (*here, "user"))
            if host.port is not None and not 0 < host.port < 65536:
                raise self.error("must be a number from 1 to 65535", (*here, "port"))
            if host.name is not None and not _CALLED.match(host.name):
                cure = "name: web1; --limit and hooks tell names apart by commas"
                raise self.error("must be one word without commas", (*here, "name"), cure)
            if host.front is not None:
                self.check_front(host.front, (*here, "front"))
            if host.root is not None:
                self.check_root(host.root, (*here, "root"), in_units=stage.runs_units)
            self.check_roles(host.roles, (*here, "roles"))
            if not host.roles:
                raise self.error("names no role", (*here, "roles"), "roles: [web]")
            if (host.name or host.host) in names:
                raise self.error("is named twice in this stage", (*here, "host"), "give one of them a `name`")
            names.add(host.name or host.host)

    def check_service(self, stage: Stage, at: yamltext.Path) -> None:
        """What ends up in files of root's is held to a grammar that has no blanks, quotes or semicolons."""
        wanted: list[tuple[str | None, re.Pattern[str], str, yamltext.Path]] = [
            (stage.service.user, _USER, "is not a user's name", ("service", "user")),
            (stage.service.memory, _SIZE, "must be a size such as 512M", ("service", "memory")),
            (stage.nginx.max_body, _SIZE, "must be a size such as 10m", ("nginx", "max_body")),
            (stage.nginx.user, _USER, "is not a user's name", ("nginx", "user")),
        ]
        wanted += [
            (name, _SERVER_NAME, "is not a host name", ("nginx", "names", index))
            for index, name in enumerate(stage.nginx.names)
        ]
        wanted += [
            (listen, _LISTEN, "must be a port or ADDRESS:PORT", ("nginx", "listen", index))
            for index, listen in enumerate(stage.nginx.listen)
        ]
        if stage.nginx.tls is not None:
            for key in ("certificate", "key"):
                path = getattr(stage.nginx.tls, key)
                wanted.append((path, _FILE, "must be an absolute path", ("nginx", "tls", key)))
        for value, grammar, what, key_path in wanted:
            if value is not None and not grammar.match(value):
                raise self.error(what, (*at, *key_path))
        if not stage.nginx.listen:
            raise self.error("must name a port", (*at, "nginx", "listen"))
        if stage.nginx.template is not None:
            self.check_inside(stage.nginx.template, (*at, "nginx", "template"))

    def check_front(self, front: str, at: yamltext.Path) -> None:
        address, _, port = front.rpartition(":")
        if not address or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
            raise self.error("must be ADDRESS:PORT, such as 127.0.0.1:8000", at)

    def check_root(self, root: str, at: yamltext.Path, *, in_units: bool) -> None:
        path = PurePosixPath(root)
        if not path.is_absolute() or ".." in path.parts or len(path.parts) < 2:
            raise self.error("must be an absolute folder below /, without `..`", at)
        if in_units and not _FILE.match(root):
            raise self.error(_PLAIN, at, "units and nginx's site name it")

    def check_apart(self, name: str, folders: tuple[str, ...], at: yamltext.Path) -> None:
        """What lies inside a folder that the service writes to is the service's: nothing of ours can stand there."""
        for above in PurePosixPath(name).parents:
            if any(PurePosixPath(folder) == above for folder in folders):
                raise self.error(f"lies inside {above}, which is named here as a whole", at, "leave one of them out")

    def check_inside(self, name: str, at: yamltext.Path) -> None:
        path = PurePosixPath(name)
        if not name or path.is_absolute() or ".." in path.parts or _CONTROL.search(name) or str(path) == ".":
            raise self.error("must be a relative path that stays inside", at)
