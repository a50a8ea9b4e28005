"""`python -m lab up N | down | ssh I [COMMAND ...] | reset I`: a lab that stays until it is taken down."""

from __future__ import annotations

import argparse
import os
import sys

from lab.errors import LabError
from lab.fleet import Lab
from lab.needs import missing


def main() -> None:
    """Read the command line and do it; what can't be done is said in one line."""
    parser = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    parser.add_argument("--name", default="dev", help="which lab (dev)")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("up", help="boot hosts 1 to N").add_argument("number", type=int, metavar="N")
    verbs.add_parser("down", help="end the lab and remove it")
    verbs.add_parser("reset", help="install host I anew").add_argument("number", type=int, metavar="I")
    ssh = verbs.add_parser("ssh", help="a shell on host I")
    ssh.add_argument("--user", default="deploy", help="deploy or root")
    ssh.add_argument("number", type=int, metavar="I")
    ssh.add_argument("command", nargs=argparse.REMAINDER)
    flags = parser.parse_args()
    if why := missing():
        sys.exit(why)
    try:
        _do(Lab(flags.name, kept=True, say=print), flags)
    except LabError as error:
        sys.exit(str(error))


def _do(lab: Lab, flags: argparse.Namespace) -> None:
    if flags.verb == "up":
        for host in lab.up(flags.number):
            print(f"{host.name}  {host.address}")
        print(f"users deploy and root, identity {host.identity}, known hosts {host.known_hosts}")
    elif flags.verb == "down":
        lab.down()
    elif flags.verb == "reset":
        lab.reset(flags.number)
    else:
        argv = lab.host(flags.number).ssh(*flags.command, user=flags.user)
        os.execvp(argv[0], argv)


if __name__ == "__main__":
    main()
