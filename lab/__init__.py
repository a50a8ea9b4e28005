"""The lab: a fleet of real Debian hosts on one machine, for tests, measurements and trying things by hand.

Each host boots systemd and runs sshd; it has an address, a disk and a host key of its own, and no internet. This is
our own test equipment: nothing of it is installed with tagship. docs/adr/0008-the-lab.md says how it works and why.
"""
