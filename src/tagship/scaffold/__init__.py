"""What `tagship init` writes into a new project, and what `make demo` runs on."""
