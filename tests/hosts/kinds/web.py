"""A WSGI application: it answers `/app/...` with the release that it runs in, and knows nothing else."""

import os


def application(environ, start_response):
    here = environ["PATH_INFO"].startswith("/app/")
    body = (os.environ["TAGSHIP_RELEASE"] if here else "the application knows no such address").encode()
    kind = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
    start_response("200 OK" if here else "404 Not Found", kind)
    return [body]
