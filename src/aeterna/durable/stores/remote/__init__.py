"""The store that is a server far away: the contract over one stream, and its clients' calls."""
