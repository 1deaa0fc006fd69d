"""The demo's job, as any user of Aeterna would write it: plain functions as steps, one async function as workflow.

It reads Python's language reference, splits all topics into passages, indexes them, and answers a question with
citations. Nothing in it knows that its process will be killed.
"""

from __future__ import annotations

import asyncio
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aeterna import App, Context, RetryPolicy
from aeterna.cli.demo import answer, corpus
from aeterna.cli.demo.answer import Answer, Citation
from aeterna.cli.demo.corpus import Passage
from aeterna.cli.demo.execution_log import ExecutionLog
from aeterna.cli.demo.index import Hit, PassageIndex, Term, terms_of
from aeterna.cli.demo.places import Places
from aeterna.kernel.clock import SystemClock

LANES = 4
HITS = 12

app = App("demo")
patient = RetryPolicy(maximum_attempts=3)


@dataclass(frozen=True, slots=True)
class Desk:
    """Where the job keeps its files, and its pace: the mean think time of a step in milliseconds."""

    directory: str
    pace_ms: int

    @property
    def index(self) -> PassageIndex:
        """The index that the steps fill and search."""
        return PassageIndex(Places(Path(self.directory)).index)

    @contextmanager
    def working_on(self, label: str) -> Iterator[None]:
        """Log the execution of a step and take its think time (half to one and a half of the pace, the same each time).

        The real work takes a millisecond or two; the think time stands for a slow model or service, so that kills find
        steps in flight and people can watch. ``--pace-ms 0`` turns it off.
        """
        with ExecutionLog(Places(Path(self.directory)).executions, SystemClock()).executing(label):
            threading.Event().wait(self.pace_ms / 1000 * (0.5 + zlib.crc32(label.encode()) % 1000 / 1000))
            yield


@app.step
def plan(desk: Desk) -> list[str]:
    """Create the index and list the topics."""
    with desk.working_on("plan"):
        desk.index.create()
        return corpus.topic_names()


@app.step
def split(desk: Desk, topic: str) -> list[Passage]:
    """Split one topic into passages."""
    with desk.working_on(f"split {topic}"):
        return corpus.split_topic(topic, corpus.topic_text(topic))


@app.step(retry=patient)
def index(desk: Desk, topic: str, passages: list[Passage]) -> int:
    """Put one topic's passages into the index; doing it again changes nothing."""
    with desk.working_on(f"index {topic}"):
        return desk.index.put_topic(topic, passages)


@app.step
def understand(desk: Desk, question: str) -> list[Term]:
    """What the question asks for, weighed by rarity."""
    with desk.working_on("understand"):
        return desk.index.weigh(terms_of(question))


@app.step
def search(desk: Desk, terms: list[Term]) -> list[Hit]:
    """The passages that match best."""
    with desk.working_on("search"):
        return desk.index.search([term.text for term in terms], HITS)


@app.step
def cite(desk: Desk, terms: list[Term], hits: list[Hit]) -> list[Citation]:
    """The excerpts that answer best."""
    with desk.working_on("cite"):
        return answer.choose_citations(terms, hits)


@app.step
def verify(desk: Desk, citation: Citation) -> bool:
    """Whether a quote really stands where it is said to."""
    with desk.working_on(f"verify {citation.mark}"):
        return answer.verify_citation(citation, desk.index.passage(citation.topic, citation.passage))


@app.step
def compose(desk: Desk, question: str, citations: list[Citation]) -> Answer:
    """Join the excerpts that were verified."""
    with desk.working_on("compose"):
        return answer.compose(question, citations)


@app.workflow
async def research(ctx: Context, desk: Desk, question: str) -> Answer:
    """Index the language reference, then answer ``question`` from it."""
    topics = iter(await ctx.step("plan", plan, desk))

    async def lane() -> None:
        for topic in topics:
            passages = await ctx.step(f"split {topic}", split, desk, topic)
            await ctx.step(f"index {topic}", index, desk, topic, passages)

    await ctx.parallel([lane] * LANES)
    await ctx.sleep(seconds=1)

    terms = await ctx.step("understand", understand, desk, question)
    hits = await ctx.step("search", search, desk, terms)
    citations = await ctx.step("cite", cite, desk, terms, hits)
    verdicts = await asyncio.gather(*(ctx.step(f"verify {c.mark}", verify, desk, c) for c in citations))
    sound = [citation for citation, verdict in zip(citations, verdicts, strict=True) if verdict]
    return await ctx.step("compose", compose, desk, question, sound)
