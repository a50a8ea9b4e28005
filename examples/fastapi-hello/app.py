"""A page, the same as JSON, and a stream: `/ticks` sends release and time each second until it has run its time.

A browser asks for the stream again whenever it ends. So while a new release goes live, an open page first shows the
old one, whose streams all end within the `drain:` of the stage, and then the new one: nothing is ever cut.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import html
import os
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import BaseModel

TICKS = 10
"""Seconds that one stream lasts; less than `drain:`."""

PAGE = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
NO_STORE = {"Cache-Control": "no-store"}

app = FastAPI(title="fastapi-hello", docs_url=None, redoc_url=None)  # both would load scripts from elsewhere


class Hello(BaseModel):
    """Which release answers, and when."""

    release: str
    time: dt.datetime
    scheme: str


def hello(request: Request) -> Hello:
    now = dt.datetime.now(dt.timezone.utc).replace(microsecond=0)
    return Hello(
        release=os.environ.get("TAGSHIP_RELEASE", "no release: a checkout"), time=now, scheme=request.url.scheme
    )


@app.get("/", response_class=HTMLResponse)
async def page(request: Request) -> HTMLResponse:
    """What people see; it works without JavaScript, but then stands still."""
    said = hello(request)
    text = PAGE.replace("{{ release }}", html.escape(said.release)).replace("{{ time }}", said.time.isoformat())
    return HTMLResponse(text, headers=NO_STORE)


@app.get("/api/hello")
async def api(request: Request) -> Hello:
    """What programs see."""
    return hello(request)


@app.get("/ticks")
async def ticks(request: Request) -> StreamingResponse:
    """Server-sent events, one a second."""

    async def events() -> AsyncIterator[str]:
        yield "retry: 500\n\n"  # the milliseconds after which a browser asks again
        for second in range(TICKS):
            if second:
                await asyncio.sleep(1)
            yield f"data: {hello(request).model_dump_json()}\n\n"

    # nginx collects answers by default, which a stream must not suffer.
    headers = {**NO_STORE, "X-Accel-Buffering": "no"}
    return StreamingResponse(events(), media_type="text/event-stream", headers=headers)
