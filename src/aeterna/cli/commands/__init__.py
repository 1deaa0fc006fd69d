"""One file per command; each offers ``add_arguments(parser)`` and ``run(args) -> exit code``."""
