"""The messages of the wire: generated from ``proto/``, and their conversion. Nothing else knows protobuf."""
