"""What known_hosts files say of a host, read as OpenSSH reads them, and the judgement on a key that was shown.

Paramiko's own reader takes neither patterns nor `@revoked`, and compares with the first key of a type only.
Formats: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass

SSH_PORT = 22
ALGORITHMS = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
}
"""Types of host keys that we can check, and the signature algorithms that prove each."""


@dataclass(frozen=True)
class HostKey:
    """A public host key: its type (`ssh-ed25519`) and its bytes on the wire."""

    type: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` shows it: `SHA256:…`."""
        digest = base64.b64encode(hashlib.sha256(self.blob).digest()).decode()
        return f"SHA256:{digest.rstrip('=')}"

    def line(self, name: str) -> str:
        """The line for a known_hosts file."""
        return f"{name} {self.type} {base64.b64encode(self.blob).decode()}"


@dataclass(frozen=True)
class KnownKeys:
    """The keys that are known for one host, and those that must never be taken."""

    keys: frozenset[HostKey]
    revoked: frozenset[HostKey]
    by_authority: bool = False
    """A line says that an authority vouches for its key: certificates are not taken."""

    def refused_algorithms(self) -> tuple[str, ...]:
        """Algorithms not to negotiate: a server with several keys must show one of a type that we can compare.

        All are allowed while none is known: then the key is only shown to the user.
        """
        types = {key.type for key in self.keys} & ALGORITHMS.keys() or ALGORITHMS.keys()
        return tuple(name for kind, names in ALGORITHMS.items() if kind not in types for name in names)


def name_in_file(hostname: str, port: int) -> str:
    """How a host is called in known_hosts: bare at port 22, `[host]:port` elsewhere."""
    return hostname if port == SSH_PORT else f"[{hostname}]:{port}"


def read_known(texts: Iterable[str], name: str) -> KnownKeys:
    """Look `name` up in the contents of known_hosts files; lines that can't be read are passed over."""
    keys: set[HostKey] = set()
    revoked: set[HostKey] = set()
    by_authority = False
    for line in (line for text in texts for line in text.splitlines()):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        marker = words.pop(0) if words[0].startswith("@") else ""
        if len(words) < 3 or not _matches(words[0], name):
            continue
        try:
            key = HostKey(words[1], base64.b64decode(words[2], validate=True))
        except binascii.Error:
            continue
        if marker == "@revoked":
            revoked.add(key)
        elif not marker:
            keys.add(key)
        by_authority = by_authority or marker == "@cert-authority"
    return KnownKeys(frozenset(keys), frozenset(revoked), by_authority)


def read_revoked(data: bytes) -> frozenset[HostKey] | None:
    """The keys of a file that `RevokedHostKeys` names, one public key a line; `None` for what can't be read so."""
    found: set[HostKey] = set()
    for line in data.decode("ascii", "replace").splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            kind = next(at for at, word in enumerate(words[:-1]) if word in ALGORITHMS)
            found.add(HostKey(words[kind], base64.b64decode(words[kind + 1], validate=True)))
        except (StopIteration, binascii.Error):
            return None
    return frozenset(found)


def _matches(patterns: str, name: str) -> bool:
    if patterns.startswith("|1|"):
        return _hash_matches(patterns, name)
    found = False
    for pattern in patterns.lower().split(","):
        # Brackets are literal here (`[host]:port`), unlike in a shell's pattern.
        literal = pattern.removeprefix("!").replace("[", "[[]")
        if fnmatch.fnmatchcase(name.lower(), literal):
            if pattern.startswith("!"):
                return False
            found = True
    return found


def _hash_matches(hashed: str, name: str) -> bool:
    try:
        _empty, _one, salt, digest = hashed.split("|")
        wanted = base64.b64decode(digest, validate=True)
        made = hmac.new(base64.b64decode(salt, validate=True), name.encode(), "sha1").digest()
    except (ValueError, binascii.Error):
        return False
    return hmac.compare_digest(wanted, made)
