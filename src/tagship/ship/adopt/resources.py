"""What `fab adopt` changes beside an outfit, one value each (host/outfit_takeover.py)."""

from __future__ import annotations

from dataclasses import dataclass

from tagship.ship.setup.resources import Resource


@dataclass(frozen=True)
class Share(Resource):
    """`path`, below shared/, leads to where the data lives, and `user` can write there."""

    kind = "share"
    path: str
    target: str
    now: str
    """Where it is until `current` is changed."""
    user: str

    @property
    def title(self) -> str:
        return f"link {self.path} -> {self.target}, which stays where it is"


@dataclass(frozen=True)
class Beside(Resource):
    """What `current` was (`old`, from now on at `seen`) is linked into the release `folder`; so is `public`."""

    kind = "beside"
    folder: str
    old: str | None
    seen: str | None
    public: str | None

    @property
    def title(self) -> str:
        parts = [f"the names in {self.old}"] * bool(self.old) + [f"public -> {self.public}"] * bool(self.public)
        return f"link into {self.folder}: {', '.join(parts) or 'nothing'}"


@dataclass(frozen=True)
class Current(Resource):
    """`current` is a link to `target`, the folder that is called `kept` otherwise, or not there (`to`)."""

    kind = "current"
    root: str
    to: str
    target: str | None = None
    kept: str | None = None

    @property
    def title(self) -> str:
        if self.to == "link":
            return f"{self.root}/current -> {self.target}"
        return f"{self.root}/current: {f'the folder {self.kept}' if self.to == 'directory' else 'gone'}"


@dataclass(frozen=True)
class Out(Resource):
    """A link to a site of nginx, taken away; the site itself stays."""

    kind = "out"
    sign = "-"
    path: str

    @property
    def title(self) -> str:
        return f"take {self.path} out of service"


@dataclass(frozen=True)
class Gone(Resource):
    """A file of root's that isn't needed any more."""

    kind = "gone"
    sign = "-"
    path: str

    @property
    def title(self) -> str:
        return f"remove {self.path}"


@dataclass(frozen=True)
class Reload(Resource):
    """nginx takes in what was changed; its workers from before are known to `Calm`."""

    kind = "reload"
    sign = ">"
    cure: str

    @property
    def title(self) -> str:
        return "systemctl reload nginx.service"


@dataclass(frozen=True)
class Calm(Resource):
    """nginx's workers from before the last `Reload` have ended, or `seconds` are over."""

    kind = "calm"
    sign = ">"
    seconds: float

    @property
    def title(self) -> str:
        return "wait for what nginx has begun"
