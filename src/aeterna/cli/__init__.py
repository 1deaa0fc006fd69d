"""The command line: one file per command, thin, and quick to start.

``registry`` is the table of commands; ``main`` loads the one that was asked for and nothing else. Commands that only
look (list, status, history, logs, help) load neither asyncio nor rich nor the engine; msgspec only for events.
"""
