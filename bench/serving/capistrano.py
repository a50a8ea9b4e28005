"""The same load with Capistrano, as its users run Python: gunicorn reloaded by HUP, or its unit restarted."""

from __future__ import annotations

from pathlib import Path

from bench import timing
from bench.hosts import own, send_wheels, serve_repositories, write
from bench.peers.capistrano import Capistrano, lay_out
from bench.peers.peer import WHEELS, Fleet, Ground
from bench.peers.surroundings import surroundings
from bench.serving.projects import FILES, STARTS, Project
from bench.serving.trial import Trial, observe
from lab.host import Host

NAME = "capistrano"
PORT = 8201
ACTIONS = {"reload": "gunicorn reloaded by HUP", "restart": "its unit restarted"}

_UNIT = """\
[Service]
User=deploy
Type=notify
WorkingDirectory={root}/current
ExecStart={root}/current/venv/bin/{start}
ExecReload=/bin/kill -HUP $MAINPID
"""

_SITE = """\
server {{
    listen {port};
    root {root}/current/public;
    client_max_body_size 10m;
    location / {{
        try_files $uri $uri/index.html @application;
    }}
    location @application {{
        proxy_set_header Host $http_host;
        proxy_pass http://unix:{root}/shared/web.sock;
    }}
}}
"""


def try_all(host: Host, folder: Path, times: int) -> list[Trial]:
    """Deploy and roll back `times` times under the same load, each way of getting gunicorn to the new code."""
    fleet = Fleet("serving", (host,), {NAME: PORT})
    project = Project("wsgi", folder / NAME, None, carries_site=True)
    project.write()
    project.release("v1.0.0")
    _equip(host, fleet, folder)
    lay_out(folder / "cap")
    with serve_repositories(folder, host) as url:
        ground = Ground(project.home, f"{url}/{NAME}", folder, (fleet,))
        _cap(ground, fleet, "v1.0.0", "deploy", "restart")
        trials, number = [], 0
        for action in ACTIONS:
            for keep_alive in (True, False):
                number += 1
                trials.append(_try(ground, project, times, number, action, keep_alive=keep_alive))
    return trials


def _try(ground: Ground, project: Project, times: int, number: int, action: str, *, keep_alive: bool) -> Trial:
    (fleet,) = ground.fleets
    tags = [f"v1.{number}.{turn}" for turn in range(times)]
    for name in tags:
        project.release(name)

    def work() -> list[float]:
        seconds = []
        for name in tags:
            seconds.append(_cap(ground, fleet, name, "deploy", action))
            seconds.append(_cap(ground, fleet, name, "deploy:rollback", action))
        return seconds

    address = f"{fleet.hosts[0].address}:{PORT}"
    return observe(f"{Capistrano().version()}, {ACTIONS[action]}", project, address, work, keep_alive=keep_alive)


def _cap(ground: Ground, fleet: Fleet, tag: str, task: str, action: str) -> float:
    env = surroundings(ground, fleet, NAME, tag, action=action)
    return timing.run(["cap", "production", task], ground.scratch / "cap", env=env)[0]


def _equip(host: Host, fleet: Fleet, folder: Path) -> None:
    """Wheels, the unit, the right to restart it, and nginx, as gunicorn's documentation has them."""
    root, unit = fleet.root(NAME), fleet.unit(NAME)
    send_wheels([host], FILES / "wsgi/requirements.lock", folder / "cap-wheels", WHEELS)
    own(host, root)
    # The working directory by its link: HUP would otherwise go on in the folder that the link named at first.
    start = STARTS["wsgi"].format(socket=f"{root}/shared/web.sock")
    start = start.replace(" app:app", f" --chdir {root}/current app:app")
    write(host, f"/etc/systemd/system/{unit}", _UNIT.format(root=root, start=start))
    rights = ", ".join(f"/usr/bin/systemctl {action} {unit}" for action in ACTIONS)
    write(host, f"/etc/sudoers.d/{NAME}", f"deploy ALL=(root) NOPASSWD: {rights}\n")
    write(host, f"/etc/nginx/sites-enabled/{NAME}.conf", _SITE.format(root=root, port=PORT))
    host.run("systemctl", "daemon-reload", user="root")
    host.run("systemctl", "reload-or-restart", "nginx", user="root")
