"""Whether anybody looks: the kernel that runs us, and the page that sent the cell."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any


def kernel_shell() -> Any:
    """Return IPython's shell where a notebook's kernel runs us, else None; never imports IPython by itself."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell if shell is not None and hasattr(shell, "kernel") else None


def is_for_a_page(shell: Any) -> bool:
    """Whether the cell that runs was sent by a page that somebody looks at.

    Such a page names its cells. What executes notebooks unseen does not, and would keep each widget's module in the
    notebook's metadata.
    """
    with suppress(Exception):
        return "cellId" in shell.parent_header["metadata"]
    return False
