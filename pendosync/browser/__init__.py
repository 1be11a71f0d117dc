"""Device mode: what a visitor's own browser tells Pendo, as a snippet for a page and as a page to look at.

Nothing here goes anywhere by itself: the snippet speaks once somebody's page holds it, and the page only shows.
"""

from __future__ import annotations

from pendosync.browser.pages import BrowserPage, build_page
from pendosync.browser.planned import browser_page
from pendosync.browser.snippets import Snippet, browser_snippet

__all__ = ["BrowserPage", "Snippet", "browser_page", "browser_snippet", "build_page"]
