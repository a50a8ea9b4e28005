"""The one page: a form, and the notes."""

from __future__ import annotations

import os

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from notes.models import PICTURES, Note

SHOWN = 100


class NoteForm(forms.ModelForm):
    class Meta:
        model = Note
        fields = ("text", "picture")
        widgets = {
            "text": forms.Textarea(attrs={"rows": 3}),
            "picture": forms.FileInput(attrs={"accept": ",".join(f".{kind}" for kind in PICTURES)}),
        }


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """Show the newest notes; take a new one, and answer 422 to one that can't be taken."""
    form = NoteForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        form.save()
        return redirect("page")
    release = os.environ.get("TAGSHIP_RELEASE", "no release: a checkout")
    context = {"form": form, "notes": Note.objects.all()[:SHOWN], "release": release}
    return render(request, "page.html", context, status=422 if form.is_bound else 200)
