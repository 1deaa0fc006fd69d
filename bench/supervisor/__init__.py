"""The benchmark of the supervisor half: reloads, restarts and start-ups beside other supervisors and servers."""
