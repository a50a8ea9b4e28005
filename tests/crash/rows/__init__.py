"""The rows of the matrix, in FAULTS.md's order: importing them puts them in."""

from crash.rows import clients

__all__ = ["clients"]
