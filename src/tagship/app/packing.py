"""A tag made into what travels: `release` packs it with the press's site, and `ship` gets it in its own words."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tagship import config as config_file
from tagship.app.project import tell_built
from tagship.config import Config, Site
from tagship.errors import BundleRefused
from tagship.events import Listener, note
from tagship.release import bundle, wheels
from tagship.release.hostpython import HostPython
from tagship.release.store import ObjectStore
from tagship.release.tags import Tag
from tagship.ship.shipment import Shipment, Wheel
from tagship.ship.survey import Room


class Packed:
    """A tag packed on this machine, as `ship` wants it: what `release` makes, in the words of `ship`."""

    def __init__(self, root: Path, tag: Tag, config: Config, listener: Listener) -> None:
        self.config = config
        self.cache = wheels.default_folder()
        self.store = ObjectStore.of(root)
        self.listener = listener
        self.bundle = bundle.pack(
            root, tag, config, press=self.press, store=self.store, cache=self.cache, progress=listener
        )
        self.pythons: dict[str, HostPython] = {}
        self.fetched: dict[str, tuple[Wheel, ...]] = {}
        self.installers: dict[str, Wheel] = {}

    def shipment(self) -> Shipment:
        packed = self.bundle
        return Shipment(
            tag=packed.tag.name,
            commit=packed.tag.commit,
            digest=packed.digest,
            lock=packed.lock_digest,
            manifest=packed.manifest,
            app=self.config.app,
            open_object=lambda key: bundle.open_object(packed, self.store, key),
            wheels=self.wheels,
            installer=self.installer,
            known=lambda _digest: None,
        )

    def press(self, project: Path, out: Path, config: Config, clock: dt.datetime) -> None:
        """Build the site of the tag's tree, and say what `inv build` would say."""
        if config.site is None:
            return
        from tagship.press.build import build  # Markdown and Jinja2 cost 0.1 s; a bundle packed before needs none

        tell_built(build(project, out, config.site, clock=clock), self.listener)
        _hold_to_ledger(project, out, config.site, self.listener)

    def wheels(self, facts: Mapping[str, Any]) -> Sequence[Wheel]:
        """The wheels for the interpreter that `facts` describe; fetched once for hosts that are alike."""
        python = self.python(facts)
        if python.key not in self.fetched:
            found = bundle.wheels_for(self.bundle, python, self.store, self.cache, progress=self.listener)
            self.fetched[python.key] = tuple(_wheel(wheel) for wheel in found)
        return self.fetched[python.key]

    def installer(self, facts: Mapping[str, Any]) -> Wheel | None:
        """What builds the virtualenv there; None where there is nothing to install."""
        if not self.wheels(facts):
            return None
        python = self.python(facts)
        if python.key not in self.installers:
            found = wheels.installer_wheel(python, self.cache, progress=self.listener)
            self.installers[python.key] = _wheel(found)
        return self.installers[python.key]

    def python(self, facts: Mapping[str, Any]) -> HostPython:
        """The kind of host: as it said itself, or the one of `targets:` that it is, where there are any."""
        said = json.dumps(facts, sort_keys=True)
        if said not in self.pythons:
            self.pythons[said] = self._python(facts)
        return self.pythons[said]

    def _python(self, facts: Mapping[str, Any]) -> HostPython:
        surveyed = HostPython.from_facts(facts)
        if not self.config.targets:
            return surveyed
        for target in self.config.targets:
            wanted = HostPython.from_target(target)
            if (
                wanted.version == surveyed.version
                and wanted.markers["platform_machine"] == (surveyed.markers["platform_machine"])
            ):
                return wanted
        raise BundleRefused(
            f"no entry of `targets:` is {surveyed.label}",
            where=f"{self.bundle.tag.name}:{config_file.FILE_NAME}",
            cure="add one, or leave `targets:` out: then each host is asked",
        )


def _hold_to_ledger(project: Path, out: Path, site: Site, listener: Listener) -> None:
    """Refuse a tag that takes away what was released; say what its ledger lacks."""
    from tagship.press import ledger  # as above

    lacking = ledger.check_tree(project, out, site)
    if lacking:
        many = f"{lacking} address{'es' * (lacking != 1)}"
        text = f"{ledger.name_of(site)} lacks {many} of this tag: inv check --record, and commit it, before the next"
        note(listener, text, level="warning")


def _wheel(wheel: wheels.Wheel) -> Wheel:
    return Wheel(wheel.filename, wheel.sha256, wheel.size, wheel.path, Room(*wheel.unpacked))
