"""tagship: publish and deploy from git tags to your own machines. Tag it, ship it."""

from tagship.hooking import after, before

__all__ = ["after", "before"]
__version__ = "0.1.0"
