from pendosync.audiences import plan_audience
from pendosync.browser import BrowserPage, Snippet, browser_page, browser_snippet
from pendosync.checks import check_values, drop_blocked, ensure_clean
from pendosync.client import Client, open_client
from pendosync.diffs import diff_values
from pendosync.drift import check_drift
from pendosync.engines import open_engine
from pendosync.errors import (
    AnswerError,
    BrokenError,
    BusyError,
    ClientError,
    ColumnNotFoundError,
    EngineError,
    FrameError,
    HeldError,
    JournalError,
    KeyRefusedError,
    MappingError,
    NoAnswerError,
    PendosyncError,
    PlanError,
    ProblemsError,
    PushError,
    RefusedError,
    RemoteError,
    SandboxError,
    SettingsError,
    StalePlanError,
    TableError,
    UnreachableError,
)
from pendosync.events import load_events
from pendosync.gates import Canary, Gates
from pendosync.journal import Journal, open_journal, read_outcomes, read_plan, read_runs
from pendosync.looks import build_curl, dry_run
from pendosync.mapping import Mapping, load_mapping
from pendosync.pacing import Pacing
from pendosync.planning import plan_changes
from pendosync.plans import Plan
from pendosync.preview import edit_mapping, preview_plan
from pendosync.push import Run, attach_run, push, resume_push
from pendosync.refresh import refresh_plan
from pendosync.regions import Pace, Target
from pendosync.rejected import plan_rejected
from pendosync.remote import check_access, fetch_fields, fetch_values
from pendosync.retries import Retry
from pendosync.sandbox import Sandbox, open_sandbox
from pendosync.saved import load_plan
from pendosync.segment_messages import SegmentMessages, load_segment_messages
from pendosync.selections import Selection, about, after, before, changed
from pendosync.settings import Settings
from pendosync.shortcuts import plan_table
from pendosync.snapshots import read_snapshot
from pendosync.suggestions import suggest_mapping
from pendosync.summaries import build_summary
from pendosync.tables import load_table
from pendosync.traits import Trait
from pendosync.undo import plan_undo
from pendosync.values import check_mapping, map_events, map_traits
from pendosync.verify import verify_run
from pendosync.workbench import workbench

__version__: str

__all__ = [
    "AnswerError",
    "BrokenError",
    "BrowserPage",
    "BusyError",
    "Canary",
    "Client",
    "ClientError",
    "ColumnNotFoundError",
    "EngineError",
    "FrameError",
    "Gates",
    "HeldError",
    "Journal",
    "JournalError",
    "KeyRefusedError",
    "Mapping",
    "MappingError",
    "NoAnswerError",
    "Pace",
    "Pacing",
    "PendosyncError",
    "Plan",
    "PlanError",
    "ProblemsError",
    "PushError",
    "RefusedError",
    "RemoteError",
    "Retry",
    "Run",
    "Sandbox",
    "SandboxError",
    "SegmentMessages",
    "Selection",
    "Settings",
    "SettingsError",
    "Snippet",
    "StalePlanError",
    "TableError",
    "Target",
    "Trait",
    "UnreachableError",
    "about",
    "after",
    "attach_run",
    "before",
    "browser_page",
    "browser_snippet",
    "build_curl",
    "build_summary",
    "changed",
    "check_access",
    "check_drift",
    "check_mapping",
    "check_values",
    "diff_values",
    "drop_blocked",
    "dry_run",
    "edit_mapping",
    "ensure_clean",
    "fetch_fields",
    "fetch_values",
    "load_events",
    "load_mapping",
    "load_plan",
    "load_segment_messages",
    "load_table",
    "map_events",
    "map_traits",
    "open_client",
    "open_engine",
    "open_journal",
    "open_sandbox",
    "plan_audience",
    "plan_changes",
    "plan_rejected",
    "plan_table",
    "plan_undo",
    "preview_plan",
    "push",
    "read_outcomes",
    "read_plan",
    "read_runs",
    "read_snapshot",
    "refresh_plan",
    "resume_push",
    "suggest_mapping",
    "verify_run",
    "workbench",
]
