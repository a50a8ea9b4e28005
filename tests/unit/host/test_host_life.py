"""A release's whole life on one host, and a second one's after it."""

from __future__ import annotations

import urllib.request

from unit.host.client import PROBE, Host, blog, go_live


def get(listen: str, path: str = "/") -> tuple[str, str | None]:
    with urllib.request.urlopen(f"http://{listen}{path}", timeout=20) as answer:
        return answer.read().decode(), answer.headers["Tagship-Release"]


def test_a_release_goes_live_a_second_follows_and_the_first_comes_back(host: Host, listen: str) -> None:
    """Declare to mark, flip with traffic following, down again: the journal tells it in order."""
    agent = host.locked()
    one, two = blog(1), blog(2)
    go_live(agent, one, None, listen)
    assert get(listen) == (one.id, one.id)
    go_live(agent, two, one, listen)
    assert get(listen) == (two.id, two.id)
    survey = host.survey(agent)
    assert (survey["current"], survey["serving"], survey["highest"]) == (two.id, two.id, 2)
    assert [row["pid"] is not None for row in survey["releases"]] == [False, True]

    agent.ask("start", release=one.id, probe=PROBE)
    agent.ask("flip", to=one.id, **{"from": two.id})
    agent.ask("probe", release=one.id, probe=PROBE, front=listen)
    assert agent.ask("halt", release=two.id, drain=10)["forced"] is False
    agent.ask("mark", release=two.id, state="left")
    assert get(listen) == (one.id, one.id)
    states = {row["id"]: row["state"] for row in host.survey(agent)["releases"]}
    assert states == {one.id: "good", two.id: "left"}
    agent.ask("unlock")
    events = ["staging", "staged", "flip", "flipped", "good"]
    assert host.journal() == [
        *((event, one.id) for event in events),
        *((event, two.id) for event in events),
        ("flip", one.id),
        ("flipped", one.id),
        ("left", two.id),
    ]
    assert agent.ask("history", limit=1)["rows"][0]["event"] == "left"
    agent.hang_up()
    assert get(listen) == (one.id, one.id)
