"""The schema of a release's databases, up and down: what a host tells of it, guards, and the phases (docs/adr/0013).

`schema`, `guards`, `plan` and `down` are pure; `asking` asks hosts, `ledger` keeps what was done.
"""
