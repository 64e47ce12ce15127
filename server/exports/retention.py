"""Deletes old exports by age, count and size, as far as that has been set; never one that is in use."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import trio

from server.errors import StoreError
from server.exports.export import timestamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.exports.export import Export
    from server.exports.store import Store

SWEEP_SECONDS: Final = 60.0

SMALL_FILES: Final = 8_192
"""Bytes that an export takes besides its audio: two blocks of a file system, for the smallest of them."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Keep:
    """What is kept: `days`, `exports` (how many), `bytes`; 0 is no limit."""

    days: float = 0.0
    exports: int = 0
    bytes: int = 0


def size(export: Export) -> int:
    """About how many bytes of the disk an export takes."""
    return 2 * export.samples + SMALL_FILES


def surplus(exports: Sequence[Export], keep: Keep, now: datetime) -> list[str]:
    """The IDs of the exports to be deleted, oldest first. Streams that go on count, but are never among them."""
    newest_first = sorted(exports, key=lambda export: (export.created, export.id), reverse=True)
    oldest = timestamp(now - timedelta(days=keep.days)) if keep.days else ""
    count = total = 0
    over = []
    for export in newest_first:
        count += 1
        total += size(export)
        too_many = keep.exports and count > keep.exports
        too_much = keep.bytes and total > keep.bytes
        if export.state != "live" and (export.created < oldest or too_many or too_much):
            over.append(export.id)
            count -= 1
            total -= size(export)
    return over[::-1]


async def sweep(store: Store, keep: Keep) -> None:
    """Delete what is too much, again and again, for ever. What cannot be deleted now is left for the next time."""
    while keep != Keep():
        try:
            over = surplus(await store.all(), keep, datetime.now(UTC))
        except StoreError as error:
            _logger.warning("The exports could not be searched for old ones: %s", error)
            over = []
        for export_id in over:
            try:
                await store.delete(export_id)
                _logger.info("Export %s is deleted: it is beyond what is to be kept.", export_id)
            except StoreError as error:
                _logger.warning("Export %s could not be deleted: %s", export_id, error)
        await trio.sleep(SWEEP_SECONDS)
