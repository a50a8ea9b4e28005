"""What is stored: text in the database, pictures in `media/`."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.files.base import File
from django.core.validators import FileExtensionValidator
from django.db import models

PICTURES = ["gif", "jpeg", "jpg", "png", "webp"]
"""Kinds that a browser shows and never runs."""
PICTURE_BYTES = 5_000_000


def check_size(file: File[bytes]) -> None:
    """Refuse a picture above `PICTURE_BYTES`."""
    if file.size > PICTURE_BYTES:
        raise ValidationError(f"A picture may have at most {PICTURE_BYTES // 1_000_000} MB.")


class Note(models.Model):
    """One note."""

    text = models.TextField(max_length=2000)
    picture = models.FileField(
        upload_to="pictures/%Y/%m", blank=True, validators=[FileExtensionValidator(PICTURES), check_size]
    )
    made = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-made", "-pk")

    def __str__(self) -> str:
        return self.text[:40]
