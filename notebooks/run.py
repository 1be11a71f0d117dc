"""Run a notebook from top to bottom without a screen, and print its account.

    python notebooks/run.py notebooks/quickstart.ipynb --html build

It runs in a copy of its folder, under this very Python, and without any Pendo key: neither the environment's nor a
`.env` reaches it. The account is what the cells tagged `account` print.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbconvert import HTMLExporter
from nbformat import NotebookNode

KERNEL = "this-python"


class NotebookFailed(Exception):
    """A cell raised, took too long, or the kernel died."""


def run_notebook(path: Path, *, timeout_s: int) -> NotebookNode:
    """Return the notebook at *path* with its outputs; the file itself stays as it is.

    Raises:
        NotebookFailed: says which cell, and with what.
    """
    notebook = nbformat.read(path, as_version=4)
    at = [0]
    with _copied(path.parent) as home, (home / "kernel.log").open("w+") as log:
        client = NotebookClient(
            notebook,
            kernel_name=KERNEL,
            timeout=timeout_s,
            resources={"metadata": {"path": str(home / "notebooks")}},
            store_widget_state=False,  # it would put rows of data into the notebook's metadata
            on_cell_start=lambda cell, cell_index: at.__setitem__(0, cell_index),
        )
        try:
            client.execute(env=_environment(home), stderr=log)
        except CellExecutionError as error:
            reason = f"{error.ename}: {error.evalue}"
        except CellTimeoutError:
            reason = f"It took more than {timeout_s} s."
        except DeadKernelError:
            log.seek(0)
            reason = f"The kernel died.\n{log.read()[-2000:]}"
        else:
            return notebook
    source = notebook.cells[at[0]].source.strip()
    raise NotebookFailed(
        f"{path}, cell {at[0] + 1} of {len(notebook.cells)}:\n\n{source}\n\n{_plain(reason)}"
    )


def account_of(notebook: NotebookNode) -> str:
    """Return what the cells tagged `account` printed, or an empty text."""
    outputs = [
        output
        for cell in notebook.cells
        if "account" in cell.metadata.get("tags", [])
        for output in cell.get("outputs", [])
    ]
    texts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs]
    return _plain("\n".join(text.strip("\n") for text in texts if text))


def write_html(notebook: NotebookNode, path: Path) -> None:
    """Write *notebook* as one page that asks nothing of the network."""
    exporter = HTMLExporter(
        template_name="lab",
        require_js_url="",
        mathjax_url="",
        mermaid_js_url="",
        mermaid_layout_elk_js_url="",
        jquery_url="",
    )
    page, _resources = exporter.from_notebook_node(notebook)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


@contextmanager
def _copied(folder: Path) -> Iterator[Path]:
    """A folder with a copy of *folder* as `notebooks`, and the kernel that is this Python."""
    with tempfile.TemporaryDirectory(prefix="notebook-", ignore_cleanup_errors=True) as name:
        home = Path(name)
        shutil.copytree(folder, home / "notebooks", ignore=shutil.ignore_patterns(".*", "__pycache__"))
        spec = {
            "argv": [
                sys.executable,
                "-Xfrozen_modules=off",
                "-m",
                "ipykernel_launcher",
                "-f",
                "{connection_file}",
            ],
            "display_name": KERNEL,
            "language": "python",
        }
        kernel = home / "kernels" / KERNEL / "kernel.json"
        kernel.parent.mkdir(parents=True)
        kernel.write_text(json.dumps(spec))
        os.environ["JUPYTER_PATH"] = str(home)
        yield home


def _environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PENDO_")}
    return kept | {"IPYTHONDIR": str(home / "ipython"), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}


def _plain(text: str) -> str:
    """The text without the colours of a terminal."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text).strip("\n")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Run a notebook without a screen, and print its account.")
    parser.add_argument("notebook", type=Path)
    parser.add_argument(
        "--html", type=Path, metavar="FOLDER", help="leave the executed notebook there as HTML"
    )
    parser.add_argument(
        "--ipynb", type=Path, metavar="FOLDER", help="leave the executed notebook itself there"
    )
    parser.add_argument(
        "--timeout", type=int, default=300, metavar="SECONDS", help="for one cell (default: 300)"
    )
    options = parser.parse_args(arguments)
    began = time.monotonic()
    try:
        notebook = run_notebook(options.notebook, timeout_s=options.timeout)
    except NotebookFailed as error:
        print(error, file=sys.stderr)
        return 1
    if account := account_of(notebook):
        print(account)
    if options.html:
        page = options.html / options.notebook.with_suffix(".html").name
        write_html(notebook, page)
        print(f"\nThe executed notebook is {page}.")
    if options.ipynb:
        options.ipynb.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, options.ipynb / options.notebook.name)
    print(f"{options.notebook.name} ran in {time.monotonic() - began:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
