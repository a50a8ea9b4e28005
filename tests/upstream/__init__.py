"""Python-Markdown's own tests, run against what stands in for it here."""
