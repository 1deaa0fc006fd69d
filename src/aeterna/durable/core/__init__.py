"""The pure core: records, tables and folds. No clock, no loop, no file, no randomness: everything is handed in."""
