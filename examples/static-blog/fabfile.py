"""What `fab` can do here: `fab --list`. Tasks of your own go below."""

from tagship.verbs.hosts import deploy, history, migrations, plan, releases, rollback, start, status, stop, verify
from tagship.verbs.live import doctor, env, logs, run
from tagship.verbs.rehearsal import rehearse
from tagship.verbs.setup import adopt, setup
