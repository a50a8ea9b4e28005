"""What `inv` can do here: `inv --list`. Tasks of your own go below."""

from tagship.verbs.local import build, check, clean, new, next, serve
from tagship.verbs.rehearsal import check_migrations
