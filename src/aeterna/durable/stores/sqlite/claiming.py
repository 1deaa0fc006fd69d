"""Sessions and what they own: opening and ending them, claiming runs for them."""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec

from aeterna.durable.core import gcra
from aeterna.durable.core.fairness import NO_QUEUE, Candidate, Standing, choose, rate_of
from aeterna.durable.stores.contract import CRASH_LIMIT, Choice, QueueRow, RunRow, SessionRow
from aeterna.durable.stores.sqlite.registry import queue_row
from aeterna.durable.stores.sqlite.rows import run_row
from aeterna.durable.stores.sqlite.transactions import Transactions
from aeterna.durable.stores.text import require_choice, require_text


class Sessions:
    """The sessions of one namespace, whose key is ``namespace``."""

    def __init__(self, transactions: Transactions, namespace: int) -> None:
        self._do = transactions
        self._namespace = namespace

    def end_those_without_lease(self, at_us: int) -> None:
        """They live as long as the store is open; this is for those that an earlier process has left."""
        if self._do.look("read", "sessions_without_lease", self._namespace):
            self._do.run("end sessions in", lambda: self._end_all(at_us, "sessions_without_lease", died=True))

    def open(self, at_us: int, host: str, pid: int, lease_us: int | None, name: str, about: str) -> int:
        """See `Store.open_session`."""
        for what, text in (("host", host), ("session name", name), ("about", about)):
            require_text(what, text)

        def work() -> int:
            if lease_us is None:
                for row in self._do.rows("live_sessions", self._namespace, -1):
                    self._end(row[0], at_us, died=True)
            expires_us = None if lease_us is None else at_us + lease_us
            values = (host, pid, at_us, expires_us, name, about)
            number: int = self._do.rows("insert_session", self._namespace, *values)[0][0]
            return number

        return self._do.run("open a session in", work)

    def close(self, session: int, at_us: int, *, died: bool) -> None:
        """See `Store.close_session`; a session that is not live is left as it is."""
        self._do.run("close a session in", lambda: self._end(session, at_us, died=died))

    def renew(self, sessions: Sequence[int], expires_us: int) -> list[int]:
        """See `Store.renew_sessions`."""
        if not sessions:
            return []

        def work() -> list[int]:
            return [
                session for session in sessions if self._do.rows("renew_session", self._namespace, session, expires_us)
            ]

        return self._do.run("renew sessions in", work)

    def expire(self, now_us: int) -> list[int]:
        """See `Store.expire_sessions`."""
        # Looked at before a transaction is begun: most of the time there is none.
        if not self._do.look("read", "expired_sessions", self._namespace, now_us):
            return []
        return self._do.run("end sessions in", lambda: self._end_all(now_us, "expired_sessions", now_us, died=True))

    def forget(self, before_us: int, limit: int) -> int:
        """See `Store.forget`."""

        def work() -> int:
            values = (self._namespace, before_us, max(limit, 0))
            return sum(len(self._do.rows(statement, *values)) for statement in ("forget_sessions", "forget_shares"))

        return self._do.run("forget sessions in", work)

    def live(self, limit: int) -> list[SessionRow]:
        """See `Store.list_sessions`."""
        return [
            SessionRow(*values) for values in self._do.look("read", "live_sessions", self._namespace, max(limit, 0))
        ]

    def _end_all(self, at_us: int, statement: str, *values: object, died: bool) -> list[int]:
        over: list[int] = [number for (number,) in self._do.rows(statement, self._namespace, *values)]
        for session in over:
            self._end(session, at_us, died=died)
        return over

    def _end(self, session: int, at_us: int, *, died: bool) -> None:
        if self._do.rows("close_session", self._namespace, session, at_us):
            self._do.rows("disown", self._namespace, session, died)


class Claiming:
    """Claims runs of one namespace, whose key is ``namespace``."""

    def __init__(self, transactions: Transactions, namespace: int) -> None:
        self._do = transactions
        self._namespace = namespace
        self.crash_limit = CRASH_LIMIT

    def claim(self, session: int, now_us: int, limit: int, choice: Choice) -> list[RunRow]:
        """See `Store.claim`; a session that is not live gets nothing."""
        wanted = _Wanted(choice)

        def work() -> list[RunRow]:
            begun = self._begun(now_us, limit, wanted)
            fresh = self._fresh(now_us, limit - len(begun), wanted) if len(begun) < limit else []
            return [self._take(key, session) for key in [*begun, *fresh]]

        if limit <= 0 or not self._do.look("claim runs in", "session_lives", self._namespace, session):
            return []
        # Looked at before a transaction is begun: most claims find nothing, and then write nothing.
        shares = self._do.look("claim runs in", "waiting_shares", self._namespace, wanted.queues)
        if not shares and not self._begun(now_us, 1, wanted):
            return []
        return self._do.run("claim runs in", work)

    def claim_run(self, session: int, run_id: str, *, by_force: bool) -> RunRow | None:
        """See `Store.claim_run`; a session that is not live gets nothing."""
        require_text("run id", run_id)

        def work() -> RunRow | None:
            if not self._do.rows("session_lives", self._namespace, session):
                return None
            keys = self._do.rows("claimable_by_id", self._namespace, run_id, session, by_force)
            return self._take(keys[0][0], session, forgives=by_force) if keys else None

        return self._do.run("claim runs in", work)

    def release(self, session: int, except_keys: Sequence[int]) -> int:
        """See `Store.release_runs`."""
        kept = frozenset(except_keys)

        def work() -> int:
            owned = self._do.rows("owned_runs", self._namespace, session)
            released = [key for (key,) in owned if key not in kept]
            for key in released:
                self._do.rows("release_run", key)
            return len(released)

        return self._do.run("release runs in", work)

    def _begun(self, now_us: int, limit: int, wanted: _Wanted) -> list[int]:
        found = self._do.look(
            "claim runs in",
            "claimable",
            *(self._namespace, now_us, limit, wanted.workflows, wanted.queues, wanted.capabilities, self.crash_limit),
        )
        return [key for (key,) in found]

    def _fresh(self, now_us: int, limit: int, wanted: _Wanted) -> list[int]:
        """Those of the runs that wait for their start that `core.fairness` lets start; the queues take note."""
        places = self._do.rows("waiting_shares", self._namespace, wanted.queues)
        candidates = [
            Candidate(key, queue, priority, share)
            for queue, priority, share in places
            for (key,) in self._do.rows(
                "candidates",
                *(self._namespace, now_us, limit, wanted.workflows, queue, wanted.capabilities, self.crash_limit),
                *(priority, share),
            )
        ]
        names = {candidate.queue for candidate in candidates} - {NO_QUEUE}
        limits: dict[str, QueueRow] = {}
        standings: dict[str, Standing] = {}
        if names:
            limits, standings = self._stand(names)
        chosen = choose(candidates, limits, standings, now_us, limit)
        self._note_starts([candidate for candidate in chosen if candidate.queue], limits, standings, now_us)
        return [candidate.key for candidate in chosen]

    def _stand(self, names: set[str]) -> tuple[dict[str, QueueRow], dict[str, Standing]]:
        found = [queue_row(values) for values in self._do.rows("queues", self._namespace)]
        tats = {queue.name: tat_us for queue, tat_us in found}
        running: dict[str, dict[str, int]] = {}
        for queue, share, count in self._do.rows("places_taken", self._namespace):
            running.setdefault(queue, {})[share] = count
        standings = {
            name: Standing(
                running.get(name, {}), tats.get(name, 0), dict(self._do.rows("shares_served", self._namespace, name))
            )
            for name in names
        }
        return {queue.name: queue for queue, _ in found}, standings

    def _note_starts(
        self, started: list[Candidate], limits: dict[str, QueueRow], standings: dict[str, Standing], now_us: int
    ) -> None:
        for queue, share in dict.fromkeys((run.queue, run.share) for run in started):
            self._do.rows("serve_share", self._namespace, queue, share, now_us)
        for name in dict.fromkeys(run.queue for run in started):
            rate = rate_of(limits[name]) if name in limits else None
            if rate is not None:
                starts = sum(run.queue == name for run in started)
                tat_us = gcra.tat_after(rate, standings[name].tat_us, now_us, starts)
                self._do.rows("move_rate", self._namespace, name, tat_us)

    def _take(self, key: int, session: int, *, forgives: bool = False) -> RunRow:
        row = run_row(self._do.rows("run_by_key", key)[0], self._do.path)
        crashes = 0 if forgives else row.crashes
        self._do.rows("take_run", key, session, row.length, crashes)
        return msgspec.structs.replace(row, owner=session, epoch=row.epoch + 1, crashes=crashes)


class _Wanted:
    """A choice as the parameters of statements: JSON arrays, None = all."""

    __slots__ = ("capabilities", "queues", "workflows")

    def __init__(self, choice: Choice) -> None:
        require_choice(choice)
        self.workflows: str | None = None
        if choice.workflows is not None:
            # SQLite writes an array without spaces.
            pairs = [json.dumps(pair, separators=(",", ":"), ensure_ascii=False) for pair in choice.workflows]
            self.workflows = json.dumps(pairs)
        self.queues = None if choice.queues is None else json.dumps(choice.queues)
        self.capabilities = json.dumps(choice.capabilities)
