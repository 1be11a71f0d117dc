"""Audiences, which Pendo calls segments: planned, created once at most, and taken back."""

from pendosync.audiences.planned import plan_audience

__all__ = ["plan_audience"]
