"""The server: transports over the durable half, and no rules of their own."""
