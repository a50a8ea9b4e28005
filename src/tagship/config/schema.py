"""The shape of tagship.yml: frozen values, checked by msgspec (docs/adr/0002)."""

from __future__ import annotations

from typing import Literal

import msgspec

from tagship.config.databases import Rehearse, Schema, SchemaLimits
from tagship.config.values import Argv, HostCommand, Portion, Seconds
from tagship.errors import UsageError

FILE_NAME = "tagship.yml"
LOCAL_STAGE = "local"

Phase = Literal["stage", "start", "flip", "drain", "commit"]
"""Phases of a deploy that hooks can stand before and after; the canary is part of `flip`."""


Outcome = Literal["live", "restored", "degraded", "interrupted", "refused", "locked"]
"""How a deploy or rollback can end, other than having nothing to do; `interrupted` was put back too."""


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
    served: tuple[str, ...] = ()
    """Those of `dirs` that nginx serves too, each at the URL of its own name (`media` at /media/)."""


class Unit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Another process of the application, beside the one that answers requests: a queue's worker, a scheduler."""

    start: Argv
    """Runs in the tag's tree."""
    roles: tuple[str, ...] = ()
    """Hosts with one of these run it; empty: those whose role is its own name."""


class App(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The application: from the tag."""

    name: str
    start: Argv | None = None
    """What answers requests, on hosts with the role `web`. `{socket}` stands for the path of the unix socket to
    listen on. Runs in the tag's tree. None: a static site, which has no application and no virtualenv."""
    units: dict[str, Unit] = {}
    python: str = "python3"
    """The interpreter on the hosts that the virtualenv is made from."""
    package: bool = False
    """Build the project's own wheel and install it too."""
    lock: str = "requirements.lock"
    wheels: str = "wheels"
    """A folder of the tag with wheels of what exists only as source; locked by hash like all others."""
    prepare: tuple[HostCommand, ...] = ()
    """Run in the staged release on each host, before anything is public (collectstatic, compilemessages)."""
    generated: tuple[str, ...] = ()
    """Folders of the release that `prepare` fills, below `app/` or `public/`; sealed with the rest."""
    smoke: Argv | None = None
    """Run in the staged release on each host; a failure puts everything back."""
    probe: Probe = Probe()
    shared: Shared = Shared()
    env: str | None = None
    """A file below `shared/` on the host with NAME=value lines for the application: of the service user's group and
    mode 0640; of mode 0600 where plain processes run."""
    schema: tuple[Schema, ...] = ()
    """Its databases, whose schema goes up and down with it."""
    schema_limits: SchemaLimits = SchemaLimits()
    before_up: Argv | None = None
    """Run in the staged release where the schema is migrated, before anything of it changes: a backup. `{backup}`
    stands for the file to write."""
    rehearse: Rehearse = Rehearse()
    """What `fab rehearse` tries its migrations on."""

    @property
    def runs(self) -> bool:
        """Whether anything of it runs on hosts; if not, there is only a site: no virtualenv, and so no lock."""
        return bool(self.start or self.units or self.prepare or self.smoke or self.package or self.schema)


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A kind of host to select wheels for, where the survey should not decide."""

    python: str
    """`3.11`"""
    platform: str
    """The newest platform tag it takes, such as `manylinux_2_36_x86_64`."""


class Author(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: str
    email: str | None = None


class Ignored(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Findings of `inv check` that aren't told."""

    code: str
    path: str = "*"
    """A file's name, or a pattern of many."""
    text: str = ""
    """What the message must hold too."""
    reason: str
    """Why; whoever reads the configuration wants to know."""


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `inv check` is told of a site."""

    ignore: tuple[Ignored, ...] = ()


class Markup(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How Markdown becomes HTML."""

    engine: Literal["python-markdown", "commonmark"] = "python-markdown"
    untrusted: bool = False
    """Whether others write here, so that HTML which could run something is taken out."""
    math: bool = False
    """Whether `$` begins a formula."""


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
    """Posts in each feed."""
    feeds: tuple[Literal["rss", "json"], ...] = ()
    """Feeds beside the Atom feed."""
    tag_feeds: bool = False
    """Whether each tag has feeds too."""
    posts: str = "posts"
    source: str = "site"
    """The folder with templates/, assets/ and pages/."""
    markup: Markup = Markup()
    redirects: dict[str, str] = {}
    """Old URL to new one: from a path that the site doesn't have, to a path that it has or to a whole URL."""
    check: Check = Check()


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
    roles: tuple[str, ...] = ("web",)
    """What it is for: `web` answers requests; others are chosen by `app.units` and by commands."""


class Service(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What runs releases on the hosts of a stage."""

    kind: Literal["systemd", "process"] | None = None
    """`systemd`: units, a service user and nginx, made ready by `fab setup`. `process`: plain processes of the user
    who deploys, behind tagship's own front door. None: `process` for `local`, else `systemd`."""
    user: str | None = None
    """The service user; APP-STAGE when left out."""
    memory: str | None = None
    """What a release may use at most, `512M`; beyond it the kernel ends it."""


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Files on the hosts, as certbot leaves them."""

    certificate: str
    key: str


class Nginx(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `fab setup` tells nginx."""

    names: tuple[str, ...] = ()
    """`server_name`; empty: whatever host is asked for, as the default server."""
    listen: tuple[str, ...] = ("80",)
    """`listen` without TLS: a port or ADDRESS:PORT."""
    tls: Tls | None = None
    """Listen on 443 too, and send everything else there."""
    max_body: str = "10m"
    """`client_max_body_size`."""
    template: str | None = None
    """The project's own template of the site, a file of the working tree."""
    user: str = "www-data"
    """Whom nginx runs as."""


class Rollout(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """In which portions a fleet goes over to a release."""

    canary: int = 1
    """Hosts that flip first, and alone; 0: none."""
    batch: Portion = Portion("100%")
    """Of the others, how many at a time."""
    pause: Seconds = Seconds(0)
    """Seconds between two batches, and after the canary."""
    parallel: int = 32
    """Hosts worked on at a time, in every phase."""


class Hook(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A command of the project's own, before or after a phase; its failure is the deploy's."""

    run: Argv
    before: Phase | None = None
    after: Phase | None = None
    on: Literal["here", "hosts"] = "here"
    """`here`: once, on this machine, in the project's folder. `hosts`: on each host, in the release, as its user."""
    roles: tuple[str, ...] = ()
    """Of the hosts, only those with one of these."""


class Notify(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A webhook that is told how a deploy or rollback ended."""

    url: str | None = None
    env: str | None = None
    """The environment variable that holds the URL, where the URL is a secret; one of the two is needed."""
    form: Literal["json", "slack", "mattermost"] = "json"
    on: tuple[Outcome, ...] = ("live", "restored", "degraded")


class Stage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A fleet and its settings: from the working tree."""

    hosts: tuple[Host, ...] = ()
    """Empty only for the embedded `local` stage."""
    root: str | None = None
    """The folder of the app on each host; `/srv/APP` when left out, `.tagship/local` for `local`."""
    front: str | None = None
    """ADDRESS:PORT where the site answers, asked on the host itself: 127.0.0.1:8000 when left out, and with nginx
    the first port that it listens on."""
    keep: int = 5
    """Good releases kept on each host beside the current one."""
    drain: Seconds = Seconds(30)
    """How long open connections of the old release may take before it is stopped."""
    service: Service = Service()
    nginx: Nginx = Nginx()
    rollout: Rollout = Rollout()
    migrate_on: str | None = None
    """The host, by its name, that the schema is migrated from; the first that answers requests when left out."""

    @property
    def runs_units(self) -> bool:
        """Whether systemd and nginx serve it, rather than plain processes behind tagship's own front door."""
        return (self.service.kind or ("systemd" if self.hosts else "process")) == "systemd"

    @property
    def listens(self) -> str:
        """`front`, with its default."""
        if self.front is not None:
            return self.front
        if not self.runs_units:
            return "127.0.0.1:8000"
        if self.nginx.tls is not None:
            return "127.0.0.1:443"
        address, _, port = self.nginx.listen[0].rpartition(":")
        return f"{address or '127.0.0.1'}:{port}"


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole tagship.yml."""

    app: App
    site: Site | None = None
    build: tuple[Argv, ...] = ()
    """Run on this machine in a scratch copy of the tag, before the press, in a virtualenv of `build_lock`."""
    build_lock: str = "requirements.lock"
    targets: tuple[Target, ...] = ()
    stages: dict[str, Stage] = {}
    hooks: tuple[Hook, ...] = ()
    notify: tuple[Notify, ...] = ()

    def stage(self, name: str) -> Stage:
        """The stage called `name`; raises `UsageError` naming the ones there are."""
        try:
            return self.stages[name]
        except KeyError:
            known = ", ".join(sorted(self.stages))
            raise UsageError(
                f"there is no stage `{name}`", where=FILE_NAME, cure=f"--stage one of: {known}"
            ) from None
