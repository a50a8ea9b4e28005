"""The only room that joins the others: gather what is there, let the rooms work, hand on what they say.

`project` joins the press to a project on this machine; `stage` joins `release` and `ship` to the hosts of a stage,
with `packing` between the two. Verbs import the half they need, so that neither waits for the other's imports.
"""
