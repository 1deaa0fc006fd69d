"""Where histories live. One contract, several stores; the engine sees the contract only."""
