"""Aeterna and DBOS side by side on one machine: ``python -m bench``. See README.md beside this file."""
