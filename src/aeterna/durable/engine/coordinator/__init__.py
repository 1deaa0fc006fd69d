"""What a server does for the workers of a namespace: one service per file."""
