"""A tag in, a bundle out: what ships is decided here, on this machine, before any host is touched."""
