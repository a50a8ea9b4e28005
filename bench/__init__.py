"""What we promise about speed, measured: `inv bench`."""
