"""What visitors see while releases come and go: `inv bench --only serving` writes docs/serving.md."""
