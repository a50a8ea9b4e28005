"""A deploy as one writes it with pyinfra's own operations."""

import os

from pyinfra.operations import files, git, pip, server

root, tag = os.environ["BENCH_ROOT"], os.environ["BENCH_TAG"]
release = f"{root}/releases/{os.environ['BENCH_RELEASE']}"

git.repo(name="Fetch", src=os.environ["BENCH_REPOSITORY"], dest=f"{root}/repo", branch=tag, pull=False)
files.directory(name="Make the release", path=release)
server.shell(name="Check it out", commands=[f"git -C {root}/repo archive {tag} | tar -x -C {release}"])
pip.venv(name="Make the virtualenv", path=f"{release}/venv", python="python3")
pip.packages(
    name="Install",
    requirements=f"{release}/requirements.lock",
    virtualenv=f"{release}/venv",
    extra_install_args=(
        f"--quiet --disable-pip-version-check --no-index --find-links {os.environ['BENCH_WHEELS']} --require-hashes"
    ),
)
files.link(name="Switch", path=f"{root}/current", target=release)
server.shell(name="Restart", commands=[os.environ["BENCH_RESTART"]])
