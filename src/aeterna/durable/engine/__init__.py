"""The engine: asyncio services around the pure core. It knows the store contract, never a concrete store."""
