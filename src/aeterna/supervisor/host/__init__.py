"""The operating system, one mechanism per file, each behind a small contract. Decides nothing."""
