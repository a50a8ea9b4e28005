"""Who went along, as agents journal it: the fake's word is the real agent's, over every way."""

from __future__ import annotations

from contract.ways import OWNER, Way

from tagship.ship import roster


def known(way: Way, *asked: str) -> dict[str, tuple[str | None, str | None, str]]:
    """What the hosts that are asked tell of both: where each stands, what it missed, by whom."""
    way.names = list(asked)
    with way.fleet() as fleet:
        found = {host: roster.known_of(host, fleet.surveys) for host in ("web1", "web2")}
    return {host: (one.stands, one.missed, one.by) for host, one in found.items()}


def test_who_goes_along_is_known_to_all_and_who_does_not_is_missed(way: Way) -> None:
    """Up without a host, down without it, a failure, and all together again: each host tells from its journal."""
    way.names = ["web1", "web2"]
    way.deploy("v1.0.0")
    first, second, third = "0001-v1.0.0", "0002-v1.1.0", "0003-v1.2.0"
    assert known(way, "web1") == {"web1": (first, None, ""), "web2": (first, None, "")}

    way.deploy("v1.1.0")  # only web1 is named since
    assert known(way, "web1")["web2"] == (first, second, OWNER)
    assert known(way, "web1", "web2") == {"web1": (second, None, ""), "web2": (first, second, OWNER)}
    assert known(way, "web2") == {"web1": (first, None, ""), "web2": (first, None, "")}

    way.names = ["web1", "web2"]
    assert way.deploy("v1.2.0").release == third
    assert known(way, "web2")["web1"] == (third, None, "")

    way.names = ["web1"]
    assert way.rollback().release == second
    assert known(way, "web1")["web2"] == (third, second, OWNER)
    way.names = ["web1", "web2"]
    assert way.rollback().release == first
    assert known(way, "web1")["web2"] == (first, None, "")
    way.stop()
