"""What users type: `hosts` for Fabric, `local` for Invoke, `project` for the `tagship` command.

Verbs read flags, ask `app`, and turn the outcome into words and an exit code. They decide nothing else.
"""

from tagship.verbs import early

early.watch()
