"""What is asked, and how often each choice was taken."""

from __future__ import annotations

from django.db import models
from django.db.models import F


class Question(models.Model):
    """One question."""

    text = models.CharField(max_length=200)
    asked = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-asked", "-pk")

    def __str__(self) -> str:
        return self.text

    @classmethod
    def ask(cls, text: str, _author: str) -> Question:
        """Keep a question; its author isn't."""
        return cls.objects.create(text=text)

    @property
    def asked_by(self) -> str:
        return ""


class Choice(models.Model):
    """One of its answers."""

    question = models.ForeignKey(Question, models.CASCADE, related_name="choices")
    text = models.CharField(max_length=200)
    votes = models.IntegerField(default=0)

    class Meta:
        ordering = ("pk",)

    def __str__(self) -> str:
        return self.text

    def cast(self) -> None:
        """Count one more vote."""
        Choice.objects.filter(pk=self.pk).update(votes=F("votes") + 1)

    @property
    def tally(self) -> int:
        return self.votes
