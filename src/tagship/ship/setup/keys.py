"""The public keys that are to let somebody in: those of the private keys that a deploy from here logs in with."""

from __future__ import annotations

import base64
import binascii
import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tagship.errors import UsageError
from tagship.ship.sshconfig import Endpoint

TYPES = ("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-", "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-")
"""How the types of keys begin that OpenSSH takes in authorized_keys."""


def keys_for(endpoint: Endpoint, given: Path | None) -> tuple[str, ...]:
    """Lines of authorized_keys: of `given`, else of the private keys that `endpoint` is reached with.

    Of a private key that is its file `.pub`, else what ssh-keygen makes of it; where there is none, all keys of an
    SSH agent. Raises `UsageError` where that is none, or `given` isn't a public key.
    """
    if given is not None:
        found = _of_file(given)
    else:
        found = [line for identity in endpoint.identities for line in _of_identity(identity)]
        if not found and not endpoint.identities_only:
            found = _lines(_said("ssh-add", "-L"))
    if not found:
        raise UsageError(
            "there is no public key to let anybody in with",
            where=str(given or endpoint.hostname),
            cure="--key FILE.pub, or make one: ssh-keygen -t ed25519",
        )
    return tuple(dict.fromkeys(found))


def shown(lines: Sequence[str]) -> str:
    """The keys in words: type, fingerprint and comment of each."""
    return ", ".join(_shown(line) for line in lines)


def _shown(line: str) -> str:
    kind, key, *comment = line.split(None, 2)
    digest = base64.b64encode(hashlib.sha256(base64.b64decode(key)).digest()).decode().rstrip("=")
    return " ".join([kind.removeprefix("ssh-"), f"SHA256:{digest}", *(f"({word})" for word in comment)])


def _of_file(path: Path) -> list[str]:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"can't be read: {error}", where=f"--key {path}", cure="--key FILE.pub") from None
    if "PRIVATE KEY" in text:
        raise UsageError("is a private key", where=f"--key {path}", cure=f"--key {path}.pub")
    found = _lines(text)
    if not found:
        raise UsageError("is no public key of OpenSSH's", where=f"--key {path}", cure="--key ~/.ssh/id_ed25519.pub")
    return found


def _of_identity(identity: Path) -> list[str]:
    public = identity.with_name(identity.name + ".pub")
    if public.is_file():
        return _lines(public.read_text("utf-8", errors="replace"))
    # An empty passphrase: for a locked key ssh-keygen fails instead of asking for one.
    return _lines(_said("ssh-keygen", "-y", "-P", "", "-f", str(identity)))


def _said(*argv: str) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _lines(text: str) -> list[str]:
    return [line for line in map(str.strip, text.splitlines()) if _is_key(line)]


def _is_key(line: str) -> bool:
    """Whether a line is a public key without options: type, base64 that begins with that type, comment."""
    kind, _, rest = line.partition(" ")
    if not kind.startswith(TYPES) or not line.isprintable():
        return False
    try:
        blob = base64.b64decode(rest.partition(" ")[0], validate=True)
    except (binascii.Error, ValueError):
        return False
    return blob[4 : 4 + len(kind)] == kind.encode() and int.from_bytes(blob[:4], "big") == len(kind)
