"""One file per verb. The SDK, the command line and the control socket call these; no transport types inside."""
