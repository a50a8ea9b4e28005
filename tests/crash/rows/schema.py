"""What a migration may meet; rows that wait for migrations."""

from __future__ import annotations

from crash.matrix import waits

waits("migration-fails-in-a-transaction", holds="no flip; O2, O4, O5", part="schema")
waits(
    "migration-fails-outside-a-transaction",
    holds="no flip; O2, O4, O5; the message says what was applied",
    part="schema",
)
waits("irreversible-down", holds="exit 3, nothing changed, on disk and in the database", part="schema")
waits(
    "lock-holder-killed-while-it-migrates", holds="the next deploy waits for the migration, then works", part="schema"
)
