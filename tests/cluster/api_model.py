"""What a server must answer to its clients: a model of runs that wait for signals, small enough to be believed."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class ModelRun:
    """A run of the workflow ``waiter(count)``, which ends when it has heard so many signals, or of ``echo(value)``,
    which ends by itself. ``sent``: payloads in the order of acceptance; ``ids``: of the messages that were sent."""

    workflow: str
    count: int = 0
    result: object = None
    state: str = "RUNNING"
    is_paused: bool = False
    sent: list[int] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)

    @property
    def has_ended(self) -> bool:
        return self.state != "RUNNING"

    def signal(self, payload: int, signal_id: str) -> bool:
        """False for a duplicate."""
        if signal_id and signal_id in self.ids:
            return False
        self.ids.add(signal_id)
        self.sent.append(payload)
        self.settle()
        return True

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False
        self.settle()

    def cancel(self) -> None:
        """A waiter does not resist."""
        self.state = "CANCELLED"

    def settle(self) -> None:
        """End if everything is there; a paused run begins nothing, and ending takes a step."""
        if not self.is_paused and not self.has_ended and len(self.sent) >= self.count:
            self.state, self.result = "COMPLETED", self.sent[: self.count]


def echo(value: int) -> ModelRun:
    """It has ended by the time anybody looks."""
    return ModelRun("echo", result=value, state="COMPLETED")


def waiter(count: int) -> ModelRun:
    run = ModelRun("waiter", count)
    run.settle()
    return run
