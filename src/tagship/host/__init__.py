"""The agent: everything that changes a host, standard library only, Python 3.9 or newer.

It is sent over the channel at each connection and imported from memory (`boot`); docs/agent.md is its contract,
docs/adr/0005 says why it is as it is. It imports nothing of tagship outside `tagship.host`.
"""
