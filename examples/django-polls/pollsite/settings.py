"""Settings of the project. What differs by host comes from its environment: `fab env set`, and tagship itself."""

from __future__ import annotations

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from pollsite.databases import database

BASE = Path(__file__).resolve().parents[1]

SECRET_KEY = os.environ.get("SECRET_KEY", "")
if not SECRET_KEY:
    raise ImproperlyConfigured("SECRET_KEY is missing; give the stage one: fab env set SECRET_KEY --stage STAGE")

# `localhost` is what tagship asks for when it probes a release; then names that the public uses.
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "django-polls.example.org"]

# The proxy in front sets this header, always, so a client can't.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# True once the site has TLS (`nginx: {tls: ...}` in tagship.yml): cookies then travel over it only.
CSRF_COOKIE_SECURE = False
X_FRAME_OPTIONS = "DENY"

INSTALLED_APPS = ["polls", "audit"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "pollsite.urls"
WSGI_APPLICATION = "pollsite.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]

# `data` is a link into the host's `shared/`: what lies in it outlives every release.
DATABASES = {
    "default": database(os.environ.get("DATABASE_URL", ""), BASE / "data" / "polls.sqlite3"),
    "audit": database(os.environ.get("AUDIT_DATABASE_URL", ""), BASE / "data" / "audit.sqlite3"),
}
DATABASE_ROUTERS = ["pollsite.databases.Router"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

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
