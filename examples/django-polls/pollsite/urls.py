"""Addresses."""

from __future__ import annotations

from django.urls import path
from polls import views

urlpatterns = [
    path("", views.page, name="page"),
    path("vote/<int:number>", views.vote, name="vote"),
    path("state", views.state, name="state"),
    path("health", views.health, name="health"),
]
