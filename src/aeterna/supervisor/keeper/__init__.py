"""The keeper: the small process that is the parent of everything and outlives the daemon. Standard library only."""
