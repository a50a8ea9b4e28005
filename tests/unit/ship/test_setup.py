"""What a host should have, from settings alone; how that reads as a plan; and whose keys are let in."""

from __future__ import annotations

import ast
import bz2
import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tagship import config
from tagship.errors import ConfigError, UsageError
from tagship.host import boot, outfit
from tagship.host.outfit_users import missing
from tagship.ship.setup import rendering, words
from tagship.ship.setup.keys import keys_for, shown
from tagship.ship.setup.resources import Aside, File, Folder, Keys, Needs, Package, Port, Resource, Unit
from tagship.ship.setup.settings import Settings, settings_of
from tagship.ship.setup.wanted import wanted
from tagship.ship.setup.words import HostPlan, State
from tagship.ship.sshconfig import Endpoint

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f ada@home"


def settings(*, roles: tuple[str, ...] = ("web",), app: dict[str, Any] | None = None, **stage: Any) -> Settings:
    """Settings of app `blog` on stage `live`; `stage` are the stage's own keys."""
    host = config.Host(host="web1", roles=roles)
    template = stage.pop("text", None)
    return settings_of(
        config.App(name="blog", **{"start": config.Argv(["serve", "{socket}"]), **(app or {})}),
        "live",
        config.Stage(hosts=(host,), **stage),
        host,
        deploy="deploy",
        keys=(ED25519,),
        keys_shown="ed25519 SHA256:x",
        template=template,
    )


def text_of(found: Settings, path: str) -> str:
    (file,) = [one for one in wanted(found) if isinstance(one, File) and one.path == path]
    return file.text


def some(found: Settings, kind: type[Resource]) -> list[Any]:
    return [one for one in wanted(found) if isinstance(one, kind)]


def unit_of(found: Settings) -> list[str]:
    return text_of(found, "/etc/systemd/system/blog-live@.service").splitlines()


def test_every_resource_is_one_that_the_agent_knows() -> None:
    """Rows are JSON, each of a kind that hosts can look at and make."""
    rows = [resource.row() for resource in wanted(settings())]
    assert json.loads(json.dumps(rows)) == rows
    assert {row["kind"] for row in rows} <= set(outfit.KINDS)
    assert {kind.kind for kind in Resource.__subclasses__()} <= set(outfit.KINDS)
    assert wanted(settings()) == wanted(settings())


def test_code_for_setups_travels_only_with_setups() -> None:
    """A deploy's archive has none of it, and knows no more of it than two names of verbs."""

    def modules(archive: bytes) -> set[str]:
        return {name for name in bz2.decompress(archive).decode().split("\0")[::2] if "outfit" in name}

    assert modules(boot.archive()) == set()
    assert "tagship.host.outfit" in modules(boot.archive(boot.OUTFIT))


def test_the_note_comes_last() -> None:
    """It says that the host is ready, and for which settings; what it was made ready for may not change unseen."""
    note = wanted(settings(root="/srv/x"))[-1]
    assert isinstance(note, File)
    assert json.loads(note.text) == {
        "helper": 1,
        "app": "blog",
        "stage": "live",
        "root": "/srv/x",
        "user": "blog-live",
        "deploy": "deploy",
        "nginx": "www-data",
    }
    assert set(note.same) == {"app", "stage", "root", "user"}


def test_a_host_without_the_role_web_gets_no_nginx() -> None:
    """Neither package, site, unit nor access to the sockets."""
    found = settings(roles=("worker",))
    assert [package.name for package in some(found, Package)] == ["sudo"]
    assert [unit.name for unit in some(found, Unit)] == ["blog-live.service"]
    assert some(found, Port) == []
    assert not [one for one in some(found, File) if "nginx" in one.path]
    assert "www-data" not in text_of(found, "/etc/tmpfiles.d/blog-live.conf")
    assert "u:www-data:" in text_of(settings(), "/etc/tmpfiles.d/blog-live.conf")


def test_only_a_default_server_takes_the_place_of_debians() -> None:
    """With names of its own, both sites live side by side."""
    assert [one.ports for one in some(settings(nginx=config.Nginx(listen=("80", "10.0.0.1:8080"))), Aside)] == [
        ("80", "8080")
    ]
    assert some(settings(nginx=config.Nginx(names=("www.example.org",))), Aside) == []


def test_tls_needs_its_files_and_port() -> None:
    """Both must be there before anything is changed."""
    nginx = config.Nginx(tls=config.Tls(certificate="/etc/x/full.pem", key="/etc/x/key.pem"))
    found = settings(nginx=nginx)
    assert {"/etc/x/full.pem", "/etc/x/key.pem"} <= {one.path for one in some(found, Needs)}
    assert [port.number for port in some(found, Port)] == ["80", "443"]
    site = text_of(found, "/etc/nginx/sites-available/blog-live.conf")
    assert "listen 443 ssl" in site
    assert "ssl_certificate_key /etc/x/key.pem;" in site
    assert "return 301 https://" in site


def test_shared_folders_are_writable_to_the_service_and_readable_where_served() -> None:
    """Those above them belong to who deploys alone."""
    shared = config.Shared(dirs=("data", "a/b/media"), served=("a/b/media",))
    folders = {
        one.path.removeprefix("/srv/blog/shared/"): one for one in some(settings(app={"shared": shared}), Folder)
    }
    assert {name: (one.group, one.mode) for name, one in folders.items() if not name.startswith("/")} == {
        "a": ("deploy", "0751"),
        "a/b": ("deploy", "0751"),
        "a/b/media": ("blog-live", "2775"),
        "data": ("blog-live", "2770"),
    }


def test_memory_limits_the_unit_and_each_process() -> None:
    """The second bites also where the kernel has no memory controller; without a setting there is neither."""
    lines = unit_of(settings(service=config.Service(memory="300m")))
    assert {"MemoryMax=300M", "MemorySwapMax=0", "LimitDATA=300M"} <= set(lines)
    assert not [line for line in unit_of(settings()) if line.startswith(("Memory", "LimitDATA"))]


def test_the_unit_is_hardened() -> None:
    """What docs/adr/0009 says stands there; a root below /home stays visible."""
    lines = unit_of(settings(drain=config.Seconds(45.5)))
    assert {
        "User=blog-live",
        "ExecStart=/srv/blog/releases/by-serial/%i/start",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "PrivateDevices=yes",
        "RestrictSUIDSGID=yes",
        "CapabilityBoundingSet=",
        "ReadWritePaths=-/srv/blog/shared",
        "RuntimeDirectory=blog-live/%i",
        "KillMode=mixed",
        "TimeoutStopSec=46",
        "Restart=on-failure",
    } <= set(lines)
    assert "ProtectHome=read-only" in unit_of(settings(root="/home/deploy/blog"))


def test_a_service_user_is_nobody_elses() -> None:
    """Not who deploys, not nginx's; and its name is one that Linux takes."""
    for user in ("deploy", "www-data"):
        with pytest.raises(UsageError, match="must not be"):
            settings(service=config.Service(user=user))
    with pytest.raises(UsageError, match="too long") as caught:
        settings_of(
            config.App(name="a" * 31),
            "b" * 31,
            config.Stage(),
            config.Host(host="x"),
            deploy="d",
            keys=(),
            keys_shown="",
            template=None,
        )
    assert "service.user" in caught.value.where
    assert settings(service=config.Service(user="blog")).user == "blog"


@pytest.mark.parametrize("name", ["ALL", "%sudo", "#0", "deploy,ALL", "a b", "deploy\nALL", ""])
def test_who_deploys_is_one_user_to_sudoers_too(name: str) -> None:
    """Else a name could let others call the helper, or say more in a file of root's."""
    with pytest.raises(UsageError, match="can't be who deploys"):
        settings_of(
            config.App(name="a"),
            "b",
            config.Stage(),
            config.Host(host="x"),
            deploy=name,
            keys=(),
            keys_shown="",
            template=None,
        )


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("server {\n  listen {{ nginx.listen[0] }};\n  return 200 {{ naem }};\n}\n", 3, "naem"),
        ("{% for name in served %}\n{% endif %}\n", 2, "endif"),
        ("x\n\n{{ nginx.prot }}\n", 3, "prot"),
        ("x\n{{ name | nonsense }}\n", 2, "nonsense"),
        ("x\n{{ 1 / 0 }}\n", 2, "division"),
    ],
)
def test_a_mistake_in_a_template_is_told_with_its_line(text: str, line: int, what: str) -> None:
    """Also one that only shows when it is filled in."""
    nginx = config.Nginx(template="site/own.j2")
    with pytest.raises(ConfigError, match=what) as caught:
        wanted(settings(nginx=nginx, text=text))
    assert caught.value.where == f"site/own.j2:{line}"


def test_a_template_of_ones_own_is_known_for_ours_on_the_host() -> None:
    """Else the next setup would take its site for somebody else's."""
    found = settings(nginx=config.Nginx(template="own.j2"), text="server { root {{ root }}; }\n")
    site = next(one for one in some(found, File) if one.path.endswith("blog-live.conf") and "nginx" in one.path)
    assert site.text.endswith("\nserver { root /srv/blog; }\n")
    for file in some(found, File):
        assert file.mark in file.text, file.path


def test_a_plan_tells_hosts_that_are_alike_together() -> None:
    """What is new, what changes with a diff, what goes; and a host that is ready in one line."""
    old = File("/etc/x", "a\nnew\n", "0644", "a")
    resources: tuple[Resource, ...] = (Package("sudo", "/x"), old, Aside("/etc/nginx/sites-enabled/default", ("80",)))
    differing = (State(True), State(True, "mode 0666", "a\nold\n"), State(True, "default site on port 80"))
    ready = tuple(State(False) for _ in resources)
    plans = [
        HostPlan("web1", resources, differing),
        HostPlan("web2", resources, ready),
        HostPlan("web3", resources, differing),
    ]
    assert words.lines("live", plans) == [
        "setup of live",
        "web1, web3: to be made ready",
        "  + package sudo",
        "  ~ file /etc/x (root:root 0644) (now: mode 0666)",
        "      @@ -1,2 +1,2 @@",
        "       a",
        "      -old",
        "      +new",
        "  - take /etc/nginx/sites-enabled/default out of service (now: default site on port 80)",
        "web2: ready, nothing to change",
    ]
    rows = words.rows(plans)
    assert [len(row["changes"]) for row in rows] == [3, 0, 3]
    assert rows[0]["changes"][1]["diff"] == ["@@ -1,2 +1,2 @@", " a", "-old", "+new"]
    cut_off = dataclasses.replace(plans[1], unfinished=True)
    assert not cut_off.empty
    assert "cut off" in words.lines("live", [cut_off])[2]


def endpoint(*identities: Path, only: bool = True) -> Endpoint:
    return Endpoint("web1", 22, "deploy", identities, only, (), None, 10, (), None, None)


def test_the_keys_of_the_identities_are_let_in(tmp_path: Path) -> None:
    """Of its public half, or made from the private one; a locked one without is passed over, nobody is asked."""
    for name, phrase in (("one", ""), ("two", ""), ("locked", "secret")):
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", phrase, "-C", name, "-f", str(tmp_path / name)]
        subprocess.run(argv, check=True)
    (tmp_path / "two.pub").unlink()
    (tmp_path / "locked.pub").unlink()
    found = keys_for(endpoint(*(tmp_path / name for name in ("one", "two", "locked"))), None)
    assert len(found) == 2
    assert found[0] == (tmp_path / "one.pub").read_text().strip()
    printed = subprocess.run(
        ["ssh-keygen", "-lf", str(tmp_path / "one.pub")], capture_output=True, text=True, check=True
    ).stdout.split()
    assert shown(found[:1]) == f"ed25519 {printed[1]} (one)"
    with pytest.raises(UsageError, match="no public key"):
        keys_for(endpoint(tmp_path / "locked"), None)


def test_a_key_counts_as_there_where_sshd_reads_it() -> None:
    """With options before it and another comment; but not in a line that somebody has commented out."""
    one, two = "ssh-ed25519 AAAAone me@here", "ssh-rsa AAAAtwo me@here"
    assert missing(f'# {one}\nfrom="10.0.0.0/8",no-pty ssh-rsa AAAAtwo other\n', [one, two]) == [one]
    assert missing("", [one, two]) == [one, two]


def test_a_given_file_of_keys_is_taken_for_what_it_is(tmp_path: Path) -> None:
    """Only whole keys without options, each once; a private one, or none, is refused."""
    file = tmp_path / "keys"
    odd = ED25519.replace("ssh-ed25519", "ssh-rsa", 1)
    file.write_text(f'# a comment\n{ED25519}\n{ED25519}\ncommand="x" {ED25519}\nssh-ed25519 AAAA\n{odd}\n')
    assert keys_for(endpoint(), file) == (ED25519,)
    for text, what in (("-----BEGIN OPENSSH PRIVATE KEY-----\n", "private key"), ("nothing\n", "no public key")):
        file.write_text(text)
        with pytest.raises(UsageError, match=what):
            keys_for(endpoint(), file)
    with pytest.raises(UsageError, match="can't be read"):
        keys_for(endpoint(), tmp_path / "none")


def test_the_helper_needs_nothing_but_an_old_python() -> None:
    """Python 3.9's grammar and its standard library, in isolated mode, with one version that its note agrees with."""
    text = rendering.read("helper.py")
    tree = ast.parse(text, feature_version=(3, 9))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported <= sys.stdlib_module_names
    assert text.startswith("#!/usr/bin/python3 -IS\n")
    note = wanted(settings())[-1]
    assert isinstance(note, File)
    assert f"\nVERSION = {json.loads(note.text)['helper']}\n" in text
    (keys,) = some(settings(), Keys)
    assert keys.lines == (ED25519,)
