"""One page: it tells which release answers and when, and greets who says a name. Nothing is stored."""

from __future__ import annotations

import datetime as dt
import os

from flask import Flask, Response, render_template, request
from werkzeug.middleware.proxy_fix import ProxyFix

NAME_LENGTH = 60

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 16 * 1024
# One proxy stands in front: its word on the client's address and scheme counts, and nobody else's.
app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1)  # type: ignore[method-assign]


@app.get("/")
def page() -> str:
    """The page as anybody finds it."""
    return render(name="")


@app.post("/")
def greet() -> tuple[str, int]:
    """The page with a greeting; without a name, 422 and a word about it."""
    name = " ".join(request.form.get("name", "").split())[:NAME_LENGTH]
    return (render(name=name), 200) if name else (render(name="", problem="Please say your name."), 422)


@app.after_request
def forbid_storing(response: Response) -> Response:
    """The page tells the time: no cache may keep it."""
    response.headers["Cache-Control"] = "no-store"
    return response


def render(*, name: str, problem: str = "") -> str:
    now = dt.datetime.now(dt.timezone.utc)
    release = os.environ.get("TAGSHIP_RELEASE", "no release: a checkout")
    return render_template("page.html", name=name, problem=problem, now=now, release=release, length=NAME_LENGTH)
