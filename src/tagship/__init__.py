"""tagship: publish and deploy from git tags to your own machines. Tag it, ship it."""

__version__ = "0.1.0"
