"""Replay seeds of the simulation: ``python -m tests.simulation SEED [SEED_AFTER_THE_LAST]``."""

from __future__ import annotations

import sys
import traceback

from tests.simulation.history import play_seed


def main(first: int, end: int) -> int:
    """Play the seeds from ``first`` to before ``end``; the exit code says whether all held."""
    failed = 0
    for seed in range(first, end):
        try:
            history = play_seed(seed)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            failed += 1
            traceback.print_exception(error)
            continue
        if end - first == 1:
            for run in history.store.inner._runs.values():
                print(run.id, run.state.value, *run.events, sep="\n    ")
    print(f"{end - first - failed} of {end - first} seeds held")
    return 1 if failed else 0


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    sys.exit(main(given[0], given[1] if len(given) > 1 else given[0] + 1))
