"""Chosen traits of chosen rows into Pendo: previewed before, exact while, accounted for after, undoable.

Every table verb takes a frame and returns a frame. Only `push` changes the world, and it may do only what a Plan
says. The whole way in ten lines stands in the README.
"""

import sys as _sys
from importlib import import_module as _import_module
from types import ModuleType as _ModuleType

_ROOMS = {
    "audiences": ["plan_audience"],
    "browser": ["BrowserPage", "Snippet", "browser_page", "browser_snippet"],
    "checks": ["check_values", "drop_blocked", "ensure_clean"],
    "client": ["Client", "open_client"],
    "diffs": ["diff_values"],
    "drift": ["check_drift"],
    "engines": ["open_engine"],
    "errors": [
        "AnswerError",
        "BrokenError",
        "BusyError",
        "ClientError",
        "ColumnNotFoundError",
        "EngineError",
        "FrameError",
        "HeldError",
        "JournalError",
        "KeyRefusedError",
        "MappingError",
        "NoAnswerError",
        "PendosyncError",
        "PlanError",
        "ProblemsError",
        "PushError",
        "RefusedError",
        "RemoteError",
        "SandboxError",
        "SettingsError",
        "StalePlanError",
        "TableError",
        "UnreachableError",
    ],
    "events": ["load_events"],
    "gates": ["Canary", "Gates"],
    "journal": ["Journal", "open_journal", "read_outcomes", "read_plan", "read_runs"],
    "looks": ["build_curl", "dry_run"],
    "mapping": ["Mapping", "load_mapping"],
    "pacing": ["Pacing"],
    "planning": ["plan_changes"],
    "plans": ["Plan"],
    "preview": ["edit_mapping", "preview_plan"],
    "push": ["Run", "attach_run", "push", "resume_push"],
    "refresh": ["refresh_plan"],
    "regions": ["Pace", "Target"],
    "rejected": ["plan_rejected"],
    "remote": ["check_access", "fetch_fields", "fetch_values"],
    "retries": ["Retry"],
    "sandbox": ["Sandbox", "open_sandbox"],
    "saved": ["load_plan"],
    "segment_messages": ["SegmentMessages", "load_segment_messages"],
    "selections": ["Selection", "about", "after", "before", "changed"],
    "settings": ["Settings"],
    "shortcuts": ["plan_table"],
    "snapshots": ["read_snapshot"],
    "suggestions": ["suggest_mapping"],
    "summaries": ["build_summary"],
    "tables": ["load_table"],
    "traits": ["Trait"],
    "undo": ["plan_undo"],
    "values": ["check_mapping", "map_events", "map_traits"],
    "verify": ["verify_run"],
    "workbench": ["workbench"],
}
"""Room → what of it stands at the door; what type checkers and editors read of it stands in `__init__.pyi`."""

_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = sorted(_ROOM_OF)


class _Door(_ModuleType):
    """Fetches a name when it is first asked for: nobody waits for what is not used, a sandbox's process least of all."""

    def __getattr__(self, name: str) -> object:
        if name == "__version__":
            from importlib.metadata import version

            found: object = version("pendosync")
        elif name in _ROOM_OF:
            found = getattr(_import_module(f"pendosync.{_ROOM_OF[name]}"), name)
        else:
            raise AttributeError(f"module 'pendosync' has no attribute {name!r}")
        vars(self)[name] = found
        return found

    def __setattr__(self, name: str, value: object) -> None:
        """Keep a verb in its place: Python would put the room `push` there when that is imported."""
        if name not in _ROOM_OF or not isinstance(value, _ModuleType):
            super().__setattr__(name, value)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        """Travel to another process by name, within a function of a notebook's that uses it."""
        return _import_module, (self.__name__,)

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *__all__, "__version__"})


_sys.modules[__name__].__class__ = _Door
