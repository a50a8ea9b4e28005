"""Addresses."""

from __future__ import annotations

from django.conf import settings
from django.urls import path, re_path
from django.views.static import serve

from notes.views import page

# Files are nginx's business; these two serve them where none stands in front, on the `local` stage.
urlpatterns = [
    path("", page, name="page"),
    re_path(r"^assets/(?P<path>.+)$", serve, {"document_root": settings.ASSETS}),
    re_path(r"^media/(?P<path>.+)$", serve, {"document_root": settings.MEDIA_ROOT}),
]
