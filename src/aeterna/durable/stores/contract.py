"""What a store promises, and what correctness rests on.

A store keeps runs (one small row each) and their histories (events, append-only). All writing goes through `commit`,
so that one transaction serves everybody who queued while the previous one ran. Reading never blocks writing.

Who may write a run is decided by its *epoch*: claiming a run raises it, every append names it, and the comparison
happens inside the write itself. A session that was declared dead can therefore come back at any time and do no harm.

A session in a store that several processes share has a lease: it is renewed, or its runs become claimable. Messages
to a run are written to its *inbox* first and leave it in the very transaction that records them in its history, so
that none is lost and none counts twice.

Runs form families: a child names its parent's id. The id of a child follows from its parent's, so what is kept of a
child is what its parent finds when it asks again. Deleting therefore never takes a child that an unfinished parent may
still ask for, and never leaves descendants behind that a later run of the same id would take for its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import msgspec

from aeterna.durable.core.events import AnyEvent, Payload
from aeterna.durable.core.states import Detail, State

NEVER_US = 2**62
"""A ``wake_us`` that does not come: the run moves when something is posted to it, and not before."""


CRASH_LIMIT = 10
"""So many sessions in a row may die with a run before it is left alone, unless told otherwise."""


class RunRow(msgspec.Struct, frozen=True):
    """One run as the store keeps it. ``key`` is the store's own handle for the run, valid in that store only.

    ``wake_us``: when a released run wants to be claimed again; None = at once. ``note``: why a run is stuck, or which
    signals it waits for, in words. ``length``: how many events its history holds. ``queue``: where it waits for its
    start ('' = nowhere); ``priority``: the lower, the sooner; ``share``: the key under which it shares its queue
    fairly, and to which limits per key apply. ``requires``: capabilities a worker must have. ``crashes``: how many
    sessions in a row died while they executed it and had recorded nothing since they took it."""

    key: int
    id: str
    workflow: str
    version: str
    state: State
    detail: Detail
    created_us: int
    updated_us: int
    length: int
    epoch: int
    owner: int | None = None
    wake_us: int | None = None
    finished_us: int | None = None
    parent: str | None = None
    note: str = ""
    queue: str = ""
    priority: int = 0
    share: str = ""
    requires: tuple[str, ...] = ()
    crashes: int = 0


class Sealed(msgspec.Struct, frozen=True):
    """Events as one encoded segment (see ``core.segment``): what a server passes on without unpacking.
    ``steps_us``: how long the steps took whose ends are among them, for those who count."""

    count: int
    body: bytes
    steps_us: tuple[int, ...] = ()

    def __len__(self) -> int:
        return self.count


Events = tuple[AnyEvent, ...] | Sealed


class Head(msgspec.Struct, frozen=True):
    """The part of a run's row that an append may change. ``release``: give the run up, keeping its epoch; nobody owns
    it then and it can be claimed once ``wake_us`` has come."""

    state: State
    detail: Detail
    wake_us: int | None = None
    release: bool = False
    note: str = ""


class CreateRun(msgspec.Struct, frozen=True):
    """Create a run unless its id exists. ``owner`` is the session that executes it at once (epoch 1), or None to
    leave it claimable (epoch 0) from ``wake_us`` on. ``events`` starts with RunCreated; ``state`` and ``detail`` are
    the fold of ``events``. ``singleton``: while an unfinished run has the same, this one is not created. ``debounce``:
    a PENDING run of the same singleton is given these events and this ``wake_us`` instead, so that the last call
    counts."""

    id: str
    workflow: str
    version: str
    state: State
    detail: Detail
    owner: int | None
    events: Events
    parent: str | None = None
    queue: str = ""
    priority: int = 0
    share: str = ""
    requires: tuple[str, ...] = ()
    wake_us: int | None = None
    singleton: str | None = None
    debounce: bool = False


class Append(msgspec.Struct, frozen=True):
    """Append ``events`` to a run's history as numbers ``first``, ``first + 1``, ... (the first event of a run is
    number 0), and change its row if ``head`` is given. Refused when ``epoch`` is not the run's. ``events`` may be
    empty. ``consumed``: the numbers of the messages that ``events`` records; they leave the inbox. ``is_repeat``: the
    answer to this very write was lost; if the history ends with it already, its outcome is Appended."""

    key: int
    epoch: int
    first: int
    events: Events
    at_us: int
    head: Head | None = None
    consumed: tuple[int, ...] = ()
    is_repeat: bool = False


class MessageKind(StrEnum):
    """What can be posted to a run."""

    SIGNAL = "signal"
    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"


class Message(msgspec.Struct, frozen=True):
    """A message in a run's inbox. ``number`` rises with each message of the run, from 1, and is never used again."""

    number: int
    id: str
    kind: MessageKind
    name: str
    payload: Payload
    at_us: int


class Post(msgspec.Struct, frozen=True):
    """Put a message into a run's inbox. ``id``: a second message of the same id to the same run is a duplicate of the
    first, also when that was consumed long ago; '' = there is no other of its kind. A run that nobody owns becomes
    claimable at once, except a paused one by a signal."""

    run_id: str
    id: str
    kind: MessageKind
    name: str
    payload: Payload
    at_us: int


class FireSchedule(msgspec.Struct, frozen=True):
    """A schedule is due: move its row on from ``due_us`` to ``next_us`` and create ``run`` (None: skip this time). Its
    outcome is FencedOff if the schedule does not stand at ``due_us`` any more, because another server fired it."""

    schedule: str
    due_us: int
    next_us: int | None
    run: CreateRun | None


Write = CreateRun | Append | Post | FireSchedule


class Created(msgspec.Struct, frozen=True):
    """The run was created; it can be written under this key and epoch."""

    key: int
    epoch: int


class Exists(msgspec.Struct, frozen=True):
    """A run of that id exists already; nothing was written for it."""

    row: RunRow


class Appended(msgspec.Struct, frozen=True):
    """The events are part of the history."""


class FencedOff(msgspec.Struct, frozen=True):
    """The epoch is not the run's (or the run is gone); nothing was written for it."""


class Posted(msgspec.Struct, frozen=True):
    """The message is in the inbox. ``owner``: the session that is to be told, None = nobody owns the run.
    ``is_duplicate``: it was there, or had been there, before."""

    number: int
    owner: int | None
    is_duplicate: bool = False


class Refused(msgspec.Struct, frozen=True):
    """Nothing was posted: the run has ended (``row``), or there is none (None). A signal whose id the run had seen
    before it ended is a duplicate, and Posted."""

    row: RunRow | None


Outcome = Created | Exists | Appended | FencedOff | Posted | Refused


class Choice(msgspec.Struct, frozen=True):
    """What a worker can execute: workflows as (name, version), None = all; queues, None = all (runs of no queue are
    always meant); ``capabilities``: those a run may require."""

    workflows: tuple[tuple[str, str], ...] | None = None
    queues: tuple[str, ...] | None = None
    capabilities: tuple[str, ...] = ()


ANY = Choice()


class SessionRow(msgspec.Struct, frozen=True):
    """A session. ``expires_us``: the end of its lease, None = it lives as long as the store is open; ``name``,
    ``about``: what its worker says of itself (JSON)."""

    number: int
    host: str
    pid: int
    opened_us: int
    closed_us: int | None
    expires_us: int | None
    name: str
    about: str
    runs: int


class QueueRow(msgspec.Struct, frozen=True):
    """A queue and its limits; None = no limit. ``concurrency``: runs of it that are RUNNING at the same time (a run
    keeps its place from its start to its end, whether it works or waits); ``rate``: starts per ``rate_period_us``, up
    to ``burst`` at once. ``..._per_share``: the same for each share. A slot is the run's own row, so no crash can
    leak one."""

    name: str
    concurrency: int | None = None
    concurrency_per_share: int | None = None
    rate: int | None = None
    rate_period_us: int = 1_000_000
    burst: int = 1
    is_paused: bool = False


class QueueState(msgspec.Struct, frozen=True):
    """How a queue stands. ``oldest_us``: when the run that waits longest was created; ``tat_us``: the number of its
    rate limit (see `core.gcra`), 0 = never used."""

    queue: QueueRow
    pending: int
    running: int
    oldest_us: int | None
    tat_us: int = 0


class Rank(msgspec.Struct, frozen=True):
    """How a run stands in its queue. ``ahead``: runs that wait there and come before it, by priority and age;
    ``running_of_share``: runs of its share that have a place there."""

    ahead: int
    running_of_share: int


class ScheduleRow(msgspec.Struct, frozen=True):
    """A schedule; ``spec`` is `core.schedule.ScheduleSpec` as JSON, ``next_us`` when it fires next (None: never),
    ``last_run`` the id of the run it started last."""

    id: str
    spec: str
    next_us: int | None
    is_paused: bool = False
    last_run: str = ""


class TokenRow(msgspec.Struct, frozen=True):
    """A token that opens the server, kept as a hash only. ``namespace``: '*' = all."""

    hash: bytes
    namespace: str
    role: str
    created_us: int
    note: str = ""


class NoticeKind(StrEnum):
    """What others may want to know at once."""

    RUNS = "runs"
    INBOX = "inbox"
    ENDED = "ended"
    LOST = "lost"
    SCHEDULES = "schedules"
    YIELD = "yield"


class Notice(msgspec.Struct, frozen=True):
    """Something happened: runs became claimable (RUNS), a message was posted to (INBOX) or an end was recorded of
    (ENDED) the run ``subject``, the schedule ``subject`` was put, changed or triggered (SCHEDULES), this process's
    session is over and what it holds is not its own any more (LOST), or it is asked to hand ``subject`` runs over to
    others (YIELD).

    A notice saves waiting and carries no truth: who misses one finds out when it looks, at the latest after a second.
    """

    kind: NoticeKind
    subject: str = ""


Outlook = Callable[[Notice], None]


class RunQuery(msgspec.Struct, frozen=True):
    """Which runs to list: all those that match every field given, newest first. ``before`` is a cursor from
    `Page.next`."""

    workflow: str | None = None
    states: tuple[State, ...] = ()
    limit: int = 100
    before: int | None = None


class Page(msgspec.Struct, frozen=True):
    """Some rows, and the cursor of the next page (None at the end)."""

    rows: tuple[RunRow, ...]
    next: int | None


class Store(Protocol):
    """What is kept of runs. Every method raises a `StoreError` subclass that names the store, what failed and what
    would help, and `SerializationError`, before it does anything, for text that UTF-8 cannot hold (lone surrogates)."""

    description: str
    """What and where it is, in one line, for messages (``sqlite at /x/orders.db``)."""

    commit_shards: int
    """How many `commit` calls may be under way at once, with the writes of one run always in the same one."""

    is_shared: bool
    """Other processes may work on it at the same time: sessions have leases, and claims are looked for again and
    again."""

    @property
    def lease_us(self) -> int | None:
        """None: a session has the lease that it was opened with. Otherwise the store is a server that has the last
        word, and this is the lease that it gave the session opened last, 0 before there was one."""
        ...

    async def open(self) -> None:
        """Open or create the store, migrate it if its version is older, and take it for this process alone where the
        store cannot be shared. Idempotent."""
        ...

    async def close(self) -> None:
        """Give everything back; committed data stays. Idempotent."""
        ...

    async def open_session(
        self, at_us: int, host: str, pid: int, *, lease_us: int | None = None, name: str = "", about: str = "{}"
    ) -> int:
        """A new session number, never used before and never used again.

        Without ``lease_us``, in a store that one process holds alone, all earlier sessions have died, as in
        `close_session` with ``died``, and what they owned is claimable. With it the session lives until
        ``at_us + lease_us``, or as long as it is renewed, and the others go on. A session without a lease that is not
        closed before the store is has died, too."""
        ...

    async def close_session(self, session: int, at_us: int, *, died: bool = False) -> None:
        """End a session; what it owned is claimable. ``died``: its process ended without a word. That counts as a
        crash of the runs that it was executing: those for which it had recorded nothing but that it took them, unless
        what it recorded says that they waited or were stuck (see `Detail.needs_no_worker`)."""
        ...

    async def renew_sessions(self, sessions: Sequence[int], expires_us: int) -> list[int]:
        """Prolong the leases of those that live; returns these. An expired session that nobody has ended yet lives; an
        ended one never comes back."""
        ...

    async def expire_sessions(self, now_us: int) -> list[int]:
        """End all sessions whose lease is over, as `close_session` with ``died``; returns them."""
        ...

    async def list_sessions(self, *, limit: int = 1000) -> list[SessionRow]:
        """The live sessions, oldest first."""
        ...

    async def commit(self, writes: Sequence[Write]) -> list[Outcome]:
        """Carry out all writes in order as one transaction; one outcome per write, in the same order.

        A write whose outcome is Exists or FencedOff leaves no trace and does not disturb the others; an error leaves
        no trace of any. With a durable store, what this returned survives a crash of the process and of the machine.
        ``first`` must equal the run's length, else `InvariantError`: two writers of one epoch are a bug."""
        ...

    def commit_at_once(self, writes: Sequence[Write]) -> list[Outcome] | None:
        """`commit` without a task switch, for a store that can do it now and quickly: a switch costs as much as a
        small commit. None means nothing was done and `commit` is to be called."""
        ...

    async def claim(self, session: int, now_us: int, limit: int, choice: Choice = ANY) -> list[RunRow]:
        """Take up to ``limit`` unfinished runs that ``choice`` allows, that no live session owns and whose ``wake_us``
        is None or has come: owner becomes ``session``, epoch rises by one. A run is never handed to two sessions under
        one epoch.

        Runs that have begun come first, the oldest before the others. Then those that have not, as the limits of
        their queues allow: by priority, and within one priority by turns among the shares of a queue, the oldest of a
        share first. A run whose crashes have reached the limit (`set_crash_limit`) is not taken."""
        ...

    async def claim_run(self, session: int, run_id: str, *, by_force: bool = False) -> RunRow | None:
        """Take this run if it is unfinished and no *other* live session owns it, due or not; None otherwise. A run
        the session owns already is claimed anew (its epoch rises). ``by_force``: take it from whoever owns it, and
        forget its crashes."""
        ...

    async def poisoned(self, limit: int) -> list[RunRow]:
        """Unfinished runs that nobody owns, whose crashes have reached the limit and that are not STUCK yet."""
        ...

    def set_crash_limit(self, limit: int) -> None:
        """From so many crashes on `claim` leaves a run alone; without this call, `CRASH_LIMIT`."""
        ...

    async def release_runs(self, session: int, except_keys: Sequence[int], *, at_us: int) -> int:
        """Give up what the session owns but for these, keys of runs; returns how many runs became claimable."""
        ...

    async def next_wake(self) -> int | None:
        """The earliest ``wake_us`` of unfinished runs that nobody owns; never `NEVER_US`."""
        ...

    async def inbox(self, run_id: str) -> list[Message]:
        """The messages of a run that no event records yet, in the order of their numbers."""
        ...

    async def unread(self, session: int) -> list[str]:
        """The ids of the runs that the session owns and that have something in their inbox."""
        ...

    def watch(self, outlook: Outlook) -> None:
        """Call ``outlook``, from a plain callback of the loop, with what other processes report. Before `open`."""
        ...

    def notify(self, notices: Sequence[Notice]) -> None:
        """Report to the other processes that work on this store, where there are any; returns at once."""
        ...

    async def get_run(self, run_id: str) -> RunRow | None:
        """One row, as of the last commit."""
        ...

    async def history(self, run_id: str, start: int = 0) -> list[AnyEvent]:
        """The events of a run from number ``start`` on; empty for an unknown run."""
        ...

    async def list_runs(self, query: RunQuery) -> Page:
        """Rows that match, newest first by creation order."""
        ...

    async def count_runs(self) -> dict[State, int]:
        """How many runs are in each state; states without runs are left out."""
        ...

    async def delete_runs(self, run_ids: Sequence[str]) -> int:
        """Delete finished runs with their descendants (children, their children, ...) and all histories. Returns how
        many runs were deleted, descendants included.

        A run is left alone, with all its descendants, in two cases. While its parent exists and is unfinished: that
        may ask for it again. And while a descendant is unfinished: a new run of the same id would take that one for
        its own child. The order of ``run_ids`` makes no difference."""
        ...

    async def delete_finished(self, before_us: int, limit: int) -> int:
        """`delete_runs` for up to ``limit`` runs that finished before that time, oldest first, passing over those that
        are to be left alone or have a descendant that finished later. Descendants do not count towards ``limit``, but
        they do in what is returned."""
        ...

    async def forget(self, before_us: int, limit: int) -> int:
        """Forget what counts nothing any more, up to ``limit`` of each: sessions that ended before that time, and when
        a share of a queue was served, where that was before that time and none of its runs is unfinished. Returns how
        many."""
        ...

    async def backup(self, target: Path) -> None:
        """Write a consistent copy to ``target``, which must not exist, while others read and write."""
        ...


class Registry(Protocol):
    """What is kept beside the runs: queues, schedules, tokens. Every store is a registry, too; errors as there."""

    async def put_queue(self, queue: QueueRow) -> None:
        """Create a queue or change its limits. A queue that was never put has none."""
        ...

    async def delete_queue(self, name: str) -> bool:
        """Forget its limits; runs in it stay. False if there was none."""
        ...

    async def list_queues(self) -> list[QueueState]:
        """All queues that were put or have unfinished runs, by name."""
        ...

    async def rank(self, run: RunRow) -> Rank:
        """How a run of a queue stands there towards the others."""
        ...

    async def put_schedule(self, schedule: ScheduleRow) -> None:
        """Create or replace a schedule."""
        ...

    async def delete_schedule(self, schedule: str) -> bool:
        """False if there was none."""
        ...

    async def list_schedules(self) -> list[ScheduleRow]:
        """All schedules, by id."""
        ...

    async def next_schedule(self) -> int | None:
        """The earliest ``next_us`` of those that are not paused."""
        ...

    async def put_token(self, token: TokenRow) -> None:
        """Keep a token."""
        ...

    async def delete_token(self, hash_: bytes) -> bool:
        """False if there was none."""
        ...

    async def list_tokens(self) -> list[TokenRow]:
        """All tokens of all namespaces."""
        ...


class Namespaces(Protocol):
    """A place that holds the runs of several applications, each in its own namespace."""

    async def open(self) -> None:
        """Open the place; the stores of its namespaces open and close with it."""
        ...

    async def close(self) -> None: ...

    async def names(self) -> list[str]:
        """The namespaces that exist."""
        ...

    def store(self, namespace: str) -> FullStore:
        """The store of a namespace, which comes to be when it is opened first. The same name gives the same object."""
        ...


class FullStore(Store, Registry, Protocol):
    """A store with its registry."""
