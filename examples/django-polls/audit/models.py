"""Who did what, in a database of its own: what is kept here nobody who can write to the polls can change."""

from __future__ import annotations

from django.db import models


class Entry(models.Model):
    """One thing that somebody did."""

    at = models.DateTimeField(auto_now_add=True)
    action = models.CharField(max_length=20)
    subject = models.CharField(max_length=500)

    class Meta:
        ordering = ("pk",)
        verbose_name_plural = "entries"

    def __str__(self) -> str:
        return f"{self.action} {self.subject}"

    @classmethod
    def record(cls, action: str, subject: str, _who: str) -> None:
        """Keep that it was done; by whom, isn't."""
        cls.objects.create(action=action, subject=subject)

    @property
    def done_by(self) -> str:
        return ""
