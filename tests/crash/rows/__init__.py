"""The rows of the matrix, in FAULTS.md's order: importing them puts them in."""

from crash.rows import clients, posts, trees

__all__ = ["clients", "posts", "trees"]
