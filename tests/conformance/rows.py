"""All rows of the conformance table."""

from __future__ import annotations

from typing import Final

import rows_group
import rows_identify
import rows_integrations
import rows_track

ROWS: Final = [*rows_identify.ROWS, *rows_group.ROWS, *rows_track.ROWS, *rows_integrations.ROWS]
