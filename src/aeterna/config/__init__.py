"""Configuration: one schema, read from YAML, TOML or JSON, checked with the line of each mistake, handed on as records.

The daemon reads `spec` alone; the rest is for the short-lived process that checks (`__main__`) and the command line.
"""
