"""One partition's batches, one after the other, under the commit protocol.

1. fold the batch, with one set of models
2. send outputs, examples and dead letters; wait until all are acknowledged
3. send the changed states to the changelog, the ledger first; wait until all are acknowledged
4. write the local store
5. release the source offset, with its watermark, for the next commit

A crash between any two steps repeats the batch from step 1: states of 3 make its applied events no-ops, and outputs
sent again have the ids they had and sequence numbers no larger. Whatever can't be delivered stops the worker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic, perf_counter
from typing import Any

from streams.contracts.headers import Headers
from streams.contracts.topics import Name
from streams.decisions.context import Models
from streams.engine.delivery import Delivery, Outgoing
from streams.engine.position import Clockwork
from streams.engine.state import StateTable
from streams.ingest import Record
from streams.ops.clock import Clock
from streams.scoring import Effects, PartitionFold

QUEUED_BATCHES = 8

Finish = Callable[[int, str], None]
Observe = Callable[[Effects, float, float], None]


class PartitionWorker:
    """Owns a partition from its assignment to its revocation.

    Args:
        next_offset: first offset to read; afterwards, as an attribute, the one after what was queued.
        arrival_ms: when the record before it arrived.
        finish: releases (next offset, metadata) for the next commit.
        models: the set in use now.
        observe: told of each finished batch (effects, seconds folding, seconds delivering).
        failed: told of the exception that ends this worker.
    """

    def __init__(
        self,
        fold: PartitionFold,
        *,
        next_offset: int,
        arrival_ms: int,
        state: StateTable,
        delivery: Delivery,
        topic_of: Callable[[Name], str],
        models: Callable[[], Models],
        finish: Finish,
        observe: Observe,
        failed: Callable[[BaseException], None],
    ) -> None:
        self.next_offset = next_offset
        self._fold = fold
        self._partition = fold.source.partition
        self._arrival_ms = arrival_ms
        self._state = state
        self._delivery = delivery
        self._topic_of = topic_of
        self._models = models
        self._finish = finish
        self._observe = observe
        self._failed = failed
        self._queue: asyncio.Queue[Any] = asyncio.Queue(QUEUED_BATCHES)
        self._busy = False
        self._stop_after_batch = False
        self._touched_s = monotonic()
        self._task = asyncio.create_task(self._run(), name=f"partition-{self._partition}")

    async def put(self, event: Any) -> None:
        """Queue a batch: a stream event whose value is a list of aiokafka records. Waits while the queue is full."""
        self.next_offset = event.value[-1].offset + 1
        await self._queue.put(event)

    @property
    def idle_s(self) -> float:
        """Seconds since the last batch was finished; 0 while there is work."""
        return 0.0 if self._busy or not self._queue.empty() else monotonic() - self._touched_s

    async def drain(self, within_s: float) -> None:
        """Finish the batch in work, drop those that wait, and end. A worker that doesn't finish in time is cut off: its
        batch is repeated by the next owner."""
        while not self._queue.empty():
            self._queue.get_nowait().ack()
        if self._busy:
            self._stop_after_batch = True
            await asyncio.wait({self._task}, timeout=within_s)
        self._task.cancel()
        await asyncio.wait({self._task})

    def tick_ms(self, clock: Clock) -> int | None:
        """Event time that an idle partition has reached by now: its watermark, moved on by the time since its last
        record arrived; none before the first record."""
        if not self._fold.watermark_ms or not self._arrival_ms:
            return None
        return self._fold.watermark_ms + max(clock.now_ms() - self._arrival_ms, 0)

    async def _run(self) -> None:
        try:
            while not self._stop_after_batch:
                event = await self._queue.get()
                self._busy = True
                await self._process(event.value)
                event.ack()
                self._busy = False
                self._touched_s = monotonic()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001  whatever it is, the promise is broken: the worker must stop
            self._failed(error)

    async def _process(self, raw: Sequence[Any]) -> None:
        started_s = perf_counter()
        records = [Record(r.offset, r.timestamp, r.key, r.value, _headers(r.headers)) for r in raw]
        effects = self._fold.apply(records, self._models())
        folded_s = perf_counter()
        await self._delivery.send(
            self._partition,
            [Outgoing(self._topic_of(out.topic), out.key, out.value, out.headers) for out in effects.outputs],
        )
        await self._delivery.send(
            self._partition,
            [Outgoing(self._state.changelog, key, value) for key, value in effects.states.items()],
        )
        self._state.put(self._partition, effects.states)
        self._fold.persisted(effects)
        self._arrival_ms = records[-1].arrival_ms
        self._finish(effects.next_offset, Clockwork(effects.watermark_ms, self._arrival_ms).encode())
        self._observe(effects, folded_s - started_s, perf_counter() - folded_s)


def _headers(headers: Any) -> Headers:
    return headers or ()
