"""A look at the page of a text that was just saved, before everything that follows from it is made.

Only for `inv serve`, which has what the last build left in memory. A text that keeps its address, date and tags is
rendered, and its page made, with all else as it was; the build that comes after makes that page again, and whatever
else changed with it. Nothing of a glance is kept.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from tagship.errors import ContentError, TagshipError
from tagship.press.build import Done
from tagship.press.content import Text
from tagship.press.pages import KINDS
from tagship.press.share import Order, Share
from tagship.press.views import Model

_PLACE = ("url", "date", "tags", "draft", "layout", "expires", "aliases")
"""What decides where a text is shown."""


class Glance:
    """One process's look, after a build that succeeded; `segments` is a folder for the bodies that are looked at."""

    def __init__(self, order: Order, done: Done, model: Model) -> None:
        self.texts = dict(done.state.texts)
        self.share = Share(order, "bodies-glance")
        self.share.know(model)
        self.share.learn(done.state.bodies)
        self.places = {
            output.planned.arg: output.planned
            for output in done.state.outputs.values()
            if output.planned.kind in {"posts", "pages"}
        }

    def warm(self) -> None:
        """Load and compile what the first look needs, so that nobody waits for it."""
        shown = next((name for name in self.places if name in self.share.bodies), None)
        if shown is None:
            return
        planned = self.places[shown]
        try:
            self.share.body(self.texts[shown])
            KINDS[planned.kind].make(self.share.tools, planned)
        except TagshipError:  # it was changed just now, and is about to be built
            return

    def pages(self, changed: tuple[str, ...]) -> dict[str, bytes]:
        """The pages of the texts `changed`, by path; none where more than their own pages is at stake at once."""
        made: dict[str, bytes] = {}
        for name in changed:
            old = self.texts.get(name)
            if old is None or name not in self.places or old.is_template:
                return {}
            try:
                text = self.share.parse_data(self.share.file(name), name, old.kind)
                if not _same_place(old, text):
                    return {}
                self.swap(old, text)
                self.share.learn({name: self.share.body(text)[0]})
                planned = self.places[name]
                made[planned.path] = KINDS[planned.kind].make(self.share.tools, planned)
            except (ContentError, OSError):  # the build that comes after tells what is wrong
                return {}
        return made

    def swap(self, old: Text, new: Text) -> None:
        """`new` stands where `old` stood."""
        self.texts[new.name] = new
        if old.key != new.key:
            model = self.share.views.model
            self.share.know(
                msgspec.structs.replace(
                    model,
                    posts=[new if text is old else text for text in model.posts],
                    pages=[new if text is old else text for text in model.pages],
                )
            )

    def close(self) -> None:
        self.share.close()
        path = Path(self.share.order.segments) / "bodies-glance"
        path.unlink(missing_ok=True)


def _same_place(old: Text, new: Text) -> bool:
    return all(getattr(old, name) == getattr(new, name) for name in _PLACE)
