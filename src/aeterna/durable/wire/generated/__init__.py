"""Written by ``make proto`` from ``proto/aeterna/v1``; not to be edited."""
