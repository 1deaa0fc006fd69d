"""``aeterna top``: samples of how a store or a server stands, and pictures of them."""
