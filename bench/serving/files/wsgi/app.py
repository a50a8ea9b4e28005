"""A WSGI application that says in every answer which tag it is."""

import hashlib
import os
import time

TAG = "v0.0.0"
SAID = f"tag={TAG} release={os.environ.get('TAGSHIP_RELEASE', '-')}"


def app(environ, start_response):
    """`/hello`, `/slow?SECONDS`, and the digest of what is posted to `/upload`."""
    said = SAID
    if environ["PATH_INFO"] == "/slow":
        time.sleep(float(environ["QUERY_STRING"]))
    if environ["PATH_INFO"] == "/upload":
        said += f" sha256={hashlib.sha256(environ['wsgi.input'].read()).hexdigest()}"
    body = f"{said} whole\n".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
