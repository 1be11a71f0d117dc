"""What is to be known of a plan by the way it travels, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from pendosync.counts import Counts
from pendosync.shapes import Audience, Shape


def notes_of(shape: Shape, counts: Counts, *, has_fields: bool) -> Iterator[str]:
    """Yield the sentences that the route and kind of a plan ask for.

    Args:
        shape: gives route and kind.
        counts: what the plan comes to.
        has_fields: whether it has fields.

    Source: Segment's public docs on Pendo, and Pendo's help pages on track events, read 2026-11-26.
    """
    n_skipped = counts.actions.get("skip", 0)
    if n_skipped:
        yield (
            "1 row turns Pendo off by its integrations: it is never sent, and ends as 'skipped'."
            if n_skipped == 1
            else f"{n_skipped:,} rows turn Pendo off by their integrations: they are never sent, and end as 'skipped'."
        )
    if shape.route == "browser":
        yield "Shown, never pushed: this is what a visitor's browser would do; browser_page(plan, id) shows it."
        return
    if shape.audience is not None:
        yield from _audience_notes(shape.audience)
        return
    if shape.kind == "event" and shape.route == "webhook":
        yield (
            "Track events by the webhook need a setting that Pendo turns on for a subscription: ask Pendo's support "
            "whether it is on, as without it they are accepted and dropped."
        )
    if shape.kind == "event":
        yield (
            f"{'The webhook' if shape.route == 'webhook' else 'Pendo'} answers for no event: outcomes are 'accepted'. "
            f"An event that got no answer is not sent again by itself, as it might count twice, and none can be taken back."
        )
    elif shape.route == "webhook":
        lands = f", and values land in group {shape.group}" if shape.group and has_fields else ""
        yield f"The webhook answers for no row: outcomes are 'accepted'{lands}."
    if shape.kind == "visitor" and counts.about.get("account_id"):
        yield (
            "These visitors name accounts, and this plan ties none: Pendo uses account metadata only of visitors who belong "
            "to an account by a group call. Plan a mapping of kind 'membership' of the same table too."
        )
    if counts.about.get("parent_account"):
        yield "Parent accounts are a feature that Pendo turns on for a subscription; elsewhere they are dropped."


def _audience_notes(audience: Audience) -> Iterator[str]:
    if audience.is_deleted:
        yield "The whole audience is deleted, whoever else was put into it since. Pendo can't bring it back."
        return
    if audience.is_new:
        yield "Creates the audience by its first request, whose answer holds the id that the others go to."
    yield "One request at a time, as Pendo refuses a write to an audience while another is in progress."
