"""Clock, errors and limits: what every other room may rely on, and what relies on nothing."""
