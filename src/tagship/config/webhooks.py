"""What an address of a webhook must be, whether it stands in tagship.yml or in the environment."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_ASCII = re.compile(r"[!-~]+\Z")
CURE = "https://hooks.example.org/deployed, for one: no blanks, no user and password in it, nothing but ASCII"


def is_address(url: str) -> bool:
    """An http or https URL that can be asked as it stands: no name and password in it, for they would go nowhere."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # an open bracket, or a port that is no number
        return False
    ours = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc and port != 0
    return ours and _ASCII.match(url) is not None
