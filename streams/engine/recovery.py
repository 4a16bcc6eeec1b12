"""Seek before resume: Faust's order loses events on an ordinary restart with a backlog.

faust/tables/recovery.py:649-660 (0.15.3) resumes the source partitions, then seeks them to their committed offsets,
then clears all queues. Records fetched in between are cleared, and skipped as already read when they come again: 64
of 30,000 events over 35 restarts in a trial, 0 with the seek first. `on_recovery_completed` is the stock method in
that order.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from faust.tables.recovery import Recovery


class SeekFirstRecovery(Recovery):
    """See the module."""

    logger = logging.getLogger("faust.recovery")  # mode would name it after this module, among our own

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        app, consumer = self.app, self.app.consumer
        await app.on_rebalance_complete.send()
        self._set_recovery_ended()
        recovered = [
            asyncio.ensure_future(
                table.on_recovery_completed(self.actives_for_table[table], self.standbys_for_table[table])
            )
            for table in self.tables.values()
        ]
        if recovered:
            await asyncio.gather(*recovered)
        if app.consumer_generation_id != generation_id:
            return  # another rebalance has begun; its own recovery will end here

        assignment = consumer.assignment()
        if assignment:
            await self._wait(consumer.perform_seek(), timeout=app.conf.broker_request_timeout)
        self.completed.set()
        app.flow_control.resume()
        consumer.resume_partitions({tp for tp in assignment if not self._is_changelog_tp(tp)})
        consumer.resume_flow()
        await app._fetcher.maybe_start()
        self.tables.on_actives_ready()
        if not app.assignor.assigned_standbys():
            self.tables.on_standbys_ready()
        app.on_rebalance_end()


def install(app: Any) -> None:
    """Give the app's tables this recovery; before the app starts."""
    tables = app.tables
    tables._recovery = SeekFirstRecovery(app, tables, beacon=tables.beacon, loop=tables.loop)
