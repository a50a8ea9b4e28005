"""Python-Markdown, the same output in less time."""
