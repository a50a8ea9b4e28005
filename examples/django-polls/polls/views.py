"""The page with its two forms, all of it as JSON, and whether the schema fits."""

from __future__ import annotations

import os

from audit.models import Entry
from django import forms
from django.apps import apps
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from polls.models import Choice, Question

SHOWN = 50


class QuestionForm(forms.Form):
    text = forms.CharField(max_length=200, label="Question")
    choices = forms.CharField(widget=forms.Textarea(attrs={"rows": 3}), help_text="one a line")
    who = forms.CharField(max_length=50, label="Your name")

    def clean_choices(self) -> list[str]:
        lines = (line.strip()[:200] for line in self.cleaned_data["choices"].splitlines())
        return list(dict.fromkeys(filter(None, lines)))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """Show the newest questions; take a new one, and answer 422 to one that can't be taken."""
    form = QuestionForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        question = Question.ask(form.cleaned_data["text"], form.cleaned_data["who"])
        Choice.objects.bulk_create(Choice(question=question, text=text) for text in form.cleaned_data["choices"])
        Entry.record("ask", question.text, form.cleaned_data["who"])
        return redirect("page")
    questions = Question.objects.prefetch_related("choices")[:SHOWN]
    context = {"form": form, "questions": questions, "release": release()}
    return render(request, "page.html", context, status=422 if form.is_bound else 200)


@require_POST
def vote(request: HttpRequest, number: int) -> HttpResponse:
    """Take a vote for one choice."""
    choice = get_object_or_404(Choice, pk=number)
    choice.cast()
    Entry.record("vote", choice.text, request.POST.get("who", "")[:50])
    return redirect("page")


@never_cache
@require_GET
def state(_request: HttpRequest) -> JsonResponse:
    """All that is kept, in words that every release has."""
    questions = [
        {
            "text": question.text,
            "by": question.asked_by,
            "choices": [[choice.text, choice.tally] for choice in question.choices.all()],
        }
        for question in Question.objects.order_by("pk").prefetch_related("choices")
    ]
    entries = [[entry.action, entry.subject, entry.done_by] for entry in Entry.objects.all()]
    return JsonResponse({"release": release(), "questions": questions, "entries": entries})


@never_cache
@require_http_methods(["GET", "HEAD"])
def health(_request: HttpRequest) -> HttpResponse:
    """Ask every database for every column that this code knows: whatever doesn't fit is an error 500."""
    for model in apps.get_models():
        model.objects.first()
    return HttpResponse(release(), content_type="text/plain")


def release() -> str:
    """The release that this is."""
    return os.environ.get("TAGSHIP_RELEASE", "no release: a checkout")
