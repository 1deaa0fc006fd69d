"""The supervisor half: keeps services alive and replaces their code without a gap.

Knows nothing of the durable half.
"""
