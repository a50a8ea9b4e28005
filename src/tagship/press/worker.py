"""The other end of `pool`: reads one share of texts from standard input, writes what became of them."""

from __future__ import annotations

import pickle
import signal
import sys
from collections.abc import Sequence

from tagship.errors import ContentError
from tagship.press.markup import Engine, Links, Rendered, Text
from tagship.press.pool import Problem


def render_share(texts: Sequence[Text], links: Links) -> list[Rendered | Problem]:
    """Render `texts` in order, up to and including the first that has a problem."""
    engine = Engine(links)
    done: list[Rendered | Problem] = []
    for text in texts:
        try:
            done.append(engine.render(text))
        except ContentError as error:
            return [*done, Problem(error.what, text.name, error.line, error.cure)]
    return done


def main() -> None:
    """Serve one order; Ctrl-C reaches the whole group of processes, and the parent decides what it means."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    texts, links = pickle.loads(sys.stdin.buffer.read())  # noqa: S301 - our own parent's order, over a private pipe
    sys.stdout.buffer.write(pickle.dumps(render_share(texts, links)))


if __name__ == "__main__":
    main()
