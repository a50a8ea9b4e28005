"""Other deploy tools at the same work, on the same hosts, in the same run: `inv bench --only peers`."""
