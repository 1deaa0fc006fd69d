"""The partitions of the events: made ahead of time, and dropped when no run needs them.

All events of a run lie in the partition of the day on which it was created. Nothing depends on a partition being
there: what has none goes to ``events_other``. And none is dropped while a run of its days exists; the check is made
while nobody else can write. So retention deletes the rows of runs, and their events go with the partition, at no cost.
What a single long run keeps from being dropped is deleted row by row, a little at a time."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass

import asyncpg

from aeterna.durable.stores.postgres.connections import Session
from aeterna.durable.stores.postgres.statements import quoted

log = logging.getLogger("aeterna.store")

DAYS = 7
"""How many days one partition holds."""

_AHEAD_DAYS = 8
_SWEPT_MAX = 10_000
_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '1s'"


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """The events of the runs created from day ``first`` on and before day ``end``."""

    first: int
    end: int

    @property
    def name(self) -> str:
        """The name of its table."""
        return f"events_{self.first}_{self.end}"


class Partitions:
    """The partitions of one schema, as this process knows them."""

    def __init__(self, *, are_supported: bool) -> None:
        self._are_supported = are_supported
        self.known: list[Partition] = []
        self._tended_on = -1

    def need_tending(self, today: int) -> bool:
        """Once a day."""
        return self._are_supported and self._tended_on != today

    def will_be_dropped(self, day: int, today: int) -> bool:
        """The events of that day lie in a partition that gets no further runs."""
        return any(each.first <= day < each.end <= today for each in self.known)

    async def tend(self, session: Session, today: int) -> None:
        """Make the partitions of the next days, drop those that no run needs, delete what lies about in others.

        Another process may do the same, or keep us from it: then it is left for the next time."""
        self._tended_on = today
        schema = quoted(session.place.schema)
        self.known = await self._list(session, schema)
        for first in range(today - today % DAYS, today + _AHEAD_DAYS, DAYS):
            if not any(each.first < first + DAYS and first < each.end for each in self.known):
                await self._attempt(session, "make", self._make, Partition(first, first + DAYS), schema)
        self.known = await self._list(session, schema)
        await self.drop_spent(session, today)
        for name in ["events_other", *(each.name for each in self.known if each.end + DAYS <= today)]:
            await self._sweep(session, schema, name)

    async def drop_spent(self, session: Session, today: int) -> None:
        """Drop the partitions of past days whose runs are all gone."""
        schema = quoted(session.place.schema)
        for each in [each for each in self.known if each.end <= today]:
            if not await self._is_needed(session, schema, each):
                await self._attempt(session, "drop", self._drop, each, schema)
                self.known = [other for other in self.known if other != each]

    async def _attempt(self, session: Session, what: str, work: object, partition: Partition, schema: str) -> None:
        assert callable(work)
        try:
            async with session.transaction():
                await session.connection.execute(_LOCK_TIMEOUT)
                await work(session, schema, partition)
        except asyncpg.PostgresConnectionError:
            raise
        except asyncpg.PostgresError as error:
            # A lock that does not come, another process that was first, rows in events_other, a user who may not.
            log.info("could not %s partition %s: %s", what, partition.name, error, extra={"action": "partition"})

    @staticmethod
    async def _make(session: Session, schema: str, partition: Partition) -> None:
        # Made apart and attached: that lets others write meanwhile.
        table = f"{schema}.{partition.name}"
        await session.connection.execute(
            f"CREATE TABLE {table} (LIKE {schema}.events INCLUDING ALL); "
            f"ALTER TABLE {schema}.events ATTACH PARTITION {table} "
            f"FOR VALUES FROM ({partition.first}) TO ({partition.end})"
        )

    @staticmethod
    async def _drop(session: Session, schema: str, partition: Partition) -> None:
        # After the lock: whoever was creating a run of these days, by a clock that is wrong, has done it.
        await session.connection.execute(f"LOCK TABLE {schema}.events IN ACCESS EXCLUSIVE MODE")
        if not await Partitions._is_needed(session, schema, partition):
            await session.connection.execute(f"DROP TABLE {schema}.{partition.name}")

    @staticmethod
    async def _is_needed(session: Session, schema: str, partition: Partition) -> bool:
        return await session.connection.fetchval(  # type: ignore[no-any-return]
            f"SELECT EXISTS (SELECT 1 FROM {schema}.runs WHERE day >= {partition.first} AND day < {partition.end})"  # noqa: S608
        )

    @staticmethod
    async def _list(session: Session, schema: str) -> list[Partition]:
        rows = await session.connection.fetch(
            f"SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "  # noqa: S608
            f"WHERE inhparent = '{schema}.events'::regclass"
        )
        found = (re.fullmatch(r"events_(\d+)_(\d+)", name) for (name,) in rows)
        return sorted(Partition(int(match[1]), int(match[2])) for match in found if match)

    @staticmethod
    async def _sweep(session: Session, schema: str, name: str) -> None:
        """Delete events whose run is gone."""
        await session.connection.execute(
            f"DELETE FROM {schema}.{name} WHERE ctid = ANY (ARRAY("  # noqa: S608
            f"SELECT events.ctid FROM {schema}.{name} AS events "
            f"WHERE NOT EXISTS (SELECT 1 FROM {schema}.runs WHERE runs.key = events.run) LIMIT {_SWEPT_MAX}))"
        )
