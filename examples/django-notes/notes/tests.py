"""`python manage.py test`, on this machine; it needs SECRET_KEY, whichever."""

from __future__ import annotations

import tempfile
from pathlib import Path

from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import TestCase, override_settings

from notes.models import Note

PLAIN = {**settings.STORAGES, "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
"""Without digests in the names, which only `collectstatic` knows."""


@override_settings(STORAGES=PLAIN)
class Page(TestCase):
    def test_keeps_a_note_with_its_picture(self) -> None:
        with tempfile.TemporaryDirectory() as folder, override_settings(MEDIA_ROOT=folder):
            picture = SimpleUploadedFile("dot.png", b"\x89PNG")
            answer = self.client.post("/", {"text": "Ada <b>", "picture": picture}, follow=True)
            self.assertContains(answer, "Ada &lt;b&gt;")
            note = Note.objects.get()
            self.assertEqual(Path(folder, note.picture.name).read_bytes(), b"\x89PNG")

    def test_refuses_what_is_no_picture(self) -> None:
        page = SimpleUploadedFile("page.html", b"<script>")
        answer = self.client.post("/", {"text": "look", "picture": page})
        self.assertEqual(answer.status_code, 422)
        self.assertFalse(Note.objects.exists())

    def test_refuses_a_note_without_text(self) -> None:
        self.assertEqual(self.client.post("/", {"text": " "}).status_code, 422)
