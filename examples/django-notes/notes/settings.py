"""Settings of the project. What differs by host comes from its environment: `fab env set`, and tagship itself."""

from __future__ import annotations

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

BASE = Path(__file__).resolve().parents[1]

SECRET_KEY = os.environ.get("SECRET_KEY", "")
if not SECRET_KEY:
    raise ImproperlyConfigured("SECRET_KEY is missing; give the stage one: fab env set SECRET_KEY --stage STAGE")

# `localhost` is what tagship asks for when it probes a release; then names that the public uses.
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "django-notes.example.org"]

# The proxy in front sets this header, always, so a client can't.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# True once the site has TLS (`nginx: {tls: ...}` in tagship.yml): cookies then travel over it only.
CSRF_COOKIE_SECURE = False
X_FRAME_OPTIONS = "DENY"

INSTALLED_APPS = ["django.contrib.staticfiles", "notes"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "notes.urls"
WSGI_APPLICATION = "notes.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]

# `data` and `media` are links into the host's `shared/`: both outlive every release.
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": BASE / "data" / "notes.sqlite3",
        # Readers don't wait for a writer, writers wait for one another: two workers, and two releases for a moment.
        "OPTIONS": {
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
MEDIA_ROOT = BASE / "media"
MEDIA_URL = "/media/"
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o755  # nginx reads them, whatever the umask
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000

# `collectstatic` fills a folder of the release; names hold the content's digest, so browsers may keep them for ever.
# What is in `assets` outlives the flip: tagship serves that of all releases that it keeps, from one folder.
STATIC_ROOT = Path(os.environ.get("TAGSHIP_PUBLIC", BASE / "public")) / "assets"
STATIC_URL = "/assets/"
ASSETS = os.environ.get("TAGSHIP_ASSETS", STATIC_ROOT)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
}

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

# To stderr, which is the unit's journal on a host: `fab logs`.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
}
