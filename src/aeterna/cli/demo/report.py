"""What the demo says at its end: the proof, the answer, the time, the picture; as text or as JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aeterna.cli.demo.answer import Answer, Citation
from aeterna.cli.demo.execution_log import Execution
from aeterna.cli.demo.proof import Proof
from aeterna.cli.demo.supervise import LifeProcess, Options
from aeterna.cli.demo.timeline import LifeSpan, Story
from aeterna.durable.core.events import AnyEvent, TimerFired, TimerStarted

TEXT_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Report:
    """Everything the demo found out."""

    options: Options
    seconds: float
    proof: Proof
    answer: Answer
    lives: Sequence[LifeProcess]
    timeline: Path
    store: Path


def read_answer(path: Path) -> Answer:
    """The answer that the worker wrote."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    return Answer(raw["question"], raw["text"], [Citation(**citation) for citation in raw["citations"]])


def tell_story(
    history: Sequence[AnyEvent], executions: Sequence[Execution], lives: Sequence[LifeProcess], proof: Proof
) -> Story:
    """The content of the timeline picture."""
    spans = [
        LifeSpan(
            number=life.number,
            pid=life.pid,
            started_us=life.started_us,
            ended_us=life.ended_us or life.started_us,
            killed_by=life.killed_by,
            replayed=tally.replayed,
            executed=tally.executed,
        )
        for life, tally in zip(lives, proof.tallies, strict=True)
    ]
    started = {(e.path, e.name, e.occurrence): e.at_us for e in history if isinstance(e, TimerStarted)}
    sleeps = [(started[e.path, e.name, e.occurrence], e.at_us) for e in history if isinstance(e, TimerFired)]
    title = f"One job that was killed {_times(lives)}"
    return Story(title, str(proof), spans, executions, proof.steps, sleeps)


def as_text(report: Report) -> str:
    """The report for people."""
    proof, answer = report.proof, report.answer
    lines = ["", f"Proof: {proof}."]
    lines += [f"  BROKEN: {breach}" for breach in proof.breaches]
    lines += ["", f"Question: {answer.question}", ""]
    lines += [_wrapped(paragraph, "  ") + "\n" for paragraph in answer.text.split("\n\n")]
    lines += [f"  [{c.mark}] topic {c.topic!r}, passage {c.passage}: {c.heading}" for c in answer.citations]
    lines += [
        "",
        f"Time: {report.seconds:.1f} s; killed {_times(report.lives)}; --seed {report.options.seed} repeats it",
        f"Timeline: {report.timeline}",
    ]
    return "\n".join(lines)


def as_record(report: Report) -> dict[str, Any]:
    """The report as JSON types."""
    return {
        "ok": report.proof.holds,
        "seconds": round(report.seconds, 3),
        "options": asdict(report.options),
        "proof": {"text": str(report.proof), **asdict(report.proof)},
        "answer": asdict(report.answer),
        "processes": [asdict(life) for life in report.lives],
        "timeline": str(report.timeline),
        "store": str(report.store),
    }


def _wrapped(paragraph: str, indent: str) -> str:
    return textwrap.fill(paragraph, TEXT_WIDTH, initial_indent=indent, subsequent_indent=indent)


def _times(lives: Sequence[LifeProcess]) -> str:
    kills = sum(1 for life in lives if life.killed_by)
    return {0: "not once", 1: "once", 2: "twice"}.get(kills, f"{kills} times")
