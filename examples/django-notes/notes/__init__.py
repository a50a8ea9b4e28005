"""Notes: a text and, if you like, a picture; the newest first."""
