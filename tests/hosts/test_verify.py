"""`fab verify` where units and nginx serve a stage: no drift as it was left; units and root's files count too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hosts.site import NAME, ROOT, USER, Site

from lab.host import Host
from tagship.app.stage import OnStage
from tagship.app.verifying import verify_stage
from tagship.events import ignore

pytestmark = pytest.mark.lab

Hosts = Callable[[int], list[Host]]
Row = tuple[str, str | None, str, str]
UNIT = f"/etc/systemd/system/{USER}@.service"
NGINX = f"/etc/nginx/sites-available/{USER}.conf"
PREPARE = "python3 -c \"open('made/list.txt', 'w').write('made')\""
OLD, NEW = f"{ROOT}/releases/0001-v1", f"{ROOT}/releases/0002-v2"


def told(site: Site) -> list[Row]:
    """Host, release, path and drift of each difference."""
    table = verify_stage(OnStage(site.project, NAME, site.stage, ignore))
    assert table.outcome.exit == (3 if table.rows else 0)
    return list(table.rows)


def of_host(path: str, what: str) -> list[Row]:
    return [("web1", None, path, what)]


def of_new(path: str, what: str) -> list[Row]:
    return [("web1", "0002-v2", path, what)]


CASES: list[tuple[str, str, list[Row]]] = [
    # What root does, what puts it back, what is told.
    (
        f"chown {USER}: {NEW}/app/made/list.txt",
        f"chown deploy:deploy {NEW}/app/made/list.txt",
        [],  # filled in below: a user's number is the host's own
    ),
    (
        f"chgrp {USER} {NEW}/app/made && chmod g+w {NEW}/app/made",
        f"chgrp deploy {NEW}/app/made && chmod 0755 {NEW}/app/made",
        of_new("app/made", "mode 0775"),
    ),
    (f"chmod 0755 {ROOT}/objects", f"chmod 0700 {ROOT}/objects", of_host("objects", "mode 0755")),
    (
        f"ln -sfn ../0001-v1 {ROOT}/releases/by-serial/0002",
        f"ln -sfn ../0002-v2 {ROOT}/releases/by-serial/0002",
        of_host("releases/by-serial/0002", "leads to ../0001-v1"),
    ),
    (
        f"rm {ROOT}/releases/by-serial/0002.worker",
        f"runuser -u deploy -- ln -s ../0002-v2/units/worker {ROOT}/releases/by-serial/0002.worker",
        of_host("releases/by-serial/0002.worker", "missing: a reboot wouldn't start it"),
    ),
    (
        f"chmod go-r {NEW}/venv/bin/activate",
        f"chmod go+r {NEW}/venv/bin/activate",
        of_new("venv/bin/activate", "mode 0600"),
    ),
    (
        f"mkdir -p {UNIT}.d && printf '[Service]\\nUser=root\\n' >{UNIT}.d/evil.conf && systemctl daemon-reload",
        f"rm -r {UNIT}.d && systemctl daemon-reload",
        of_host(f"{UNIT}.d/evil.conf", "adds to the units, and fab setup didn't write it"),
    ),
    (
        f"cp -p {UNIT} /root/kept && echo '# more' >>{UNIT}",
        f"cp -p /root/kept {UNIT} && systemctl daemon-reload",
        [
            ("web1", None, UNIT, "systemd hasn't read it again since it was changed"),
            ("web1", None, UNIT, "isn't as `fab setup` would make it"),
        ],
    ),
    (
        f"cp -p {NGINX} /root/kept && echo '# more' >>{NGINX}",
        f"cp -p /root/kept {NGINX}",
        of_host(NGINX, "isn't as `fab setup` would make it"),
    ),
    (
        "chmod 0775 /usr/local/sbin/tagship-helper",
        "chmod 0755 /usr/local/sbin/tagship-helper",
        of_host("/usr/local/sbin/tagship-helper", "mode 0775"),
    ),
    ("systemctl stop nginx", "systemctl start nginx", []),
    (
        f"runuser -u deploy -- sudo -n /usr/local/sbin/tagship-helper {USER} start 0001",
        f"runuser -u deploy -- sudo -n /usr/local/sbin/tagship-helper {USER} stop 0001",
        [],
    ),
    (f"systemctl stop {USER}@0002.worker", f"systemctl start {USER}@0002.worker", []),
]


def test_units_nginx_and_another_users_files(hosts: Hosts, tmp_path: Path) -> None:
    """Two hosts of other roles, two releases each: nothing is told of them; then one thing after the other is."""
    site = Site(tmp_path, hosts(2), roles={"web1": ["web", "worker"], "web2": ["worker"]})
    host = site.hosts["web1"]
    site.write(
        app={
            "units": {"worker": {"start": "python3 worker.py"}},
            "prepare": [PREPARE],
            "generated": ["app/made"],
            "shared": {"dirs": ["media"], "served": ["media"]},
            "smoke": "python3 -c pass",
        }
    )
    site.setup()
    for tag in ("v1", "v2"):
        assert site.deploy(tag).outcome == "live"
    assert told(site) == []
    uid = host.run("id", "-u", USER).stdout.strip()
    expected = [rows for _do, _undo, rows in CASES]
    expected[0] = of_new("app/made/list.txt", f"owned by uid {uid}")
    for (do, undo, _rows), rows in zip(CASES, expected, strict=True):
        host.run("sh", "-c", do, user="root")
        found = told(site)
        host.run("sh", "-c", undo, user="root")
        assert found, do
        if rows:
            assert found == rows, do
        elif "nginx" in do:
            assert [row[2] for row in found if row[2] == "127.0.0.1:80"]
        elif "start 0001" in do:
            (row,) = found
            assert row[2] == "releases/0001-v1"
            assert row[3].startswith("isn't current and still runs: web (pid ")
        else:
            assert ("web1", None, "current/run/web.sock", "the unit `worker` doesn't run") in found
    assert told(site) == []
