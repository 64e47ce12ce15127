"""The exports as one key's holder sees them: their own, and no sign of any other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.errors import ExportNotFoundError, ExportNotReadyError

if TYPE_CHECKING:
    from pathlib import Path

    from server.exports.export import Export
    from server.exports.store import ExportPage, Store
    from server.protocol import WireFinal


@dataclass(frozen=True, slots=True)
class Shelf:
    """What `viewer` may see of the store; everything if it is None, as on a server without keys.

    Methods raise what those of the store raise; one for an ID that belongs to another raises the same
    `ExportNotFoundError` as for one that does not exist.
    """

    _store: Store
    _viewer: str | None

    async def page(self, *, limit: int, before: str | None) -> ExportPage:
        """List exports, newest first."""
        return await self._store.page(limit=limit, before=before, owner=self._viewer)

    async def find(self, export_id: str) -> Export:
        """Tell what is known of an export."""
        export = await self._store.find(export_id)
        if self._viewer not in {None, export.owner}:
            raise ExportNotFoundError
        return export

    async def ended(self, export_id: str) -> Export:
        """Tell what is known of an export that has ended. Raises `ExportNotReadyError` for one that has not."""
        export = await self.find(export_id)
        if export.state == "live":
            raise ExportNotReadyError(f"Export {export_id} is still being recorded.")
        return export

    async def finals(self, export_id: str) -> list[WireFinal]:
        """Read the finals of an export that has ended."""
        await self.ended(export_id)
        return await self._store.finals(export_id)

    async def audio(self, export_id: str) -> tuple[Export, Path]:
        """Tell what is known of an export that has ended, and where its audio is."""
        return await self.ended(export_id), self._store.audio_path(export_id)

    async def delete(self, export_id: str) -> None:
        """Remove an export for good."""
        await self.find(export_id)
        await self._store.delete(export_id)
