"""A JupyterLab of its own in a headless Chromium: cells are run as a person runs them, and the kernel is asked.

Nothing of the machine's own Jupyter is read, and the browser finds no host but 127.0.0.1.
"""

from __future__ import annotations

import ast
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import nbformat
from jupyter_client import BlockingKernelClient
from playwright.sync_api import Browser, Error, Locator, Page, Request, WebSocket, sync_playwright

ROOT = Path(__file__).parents[2]
HOST = "127.0.0.1"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
START_S = 60
ANSWER_S = 30
QUIET = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}
SERVER_OPTIONS = (
    "--no-browser",
    "--allow-root",
    f"--ip={HOST}",
    "--ServerApp.port_retries=0",
    "--ServerApp.terminals_enabled=False",
    "--LabApp.expose_app_in_browser=True",
    "--LabApp.news_url=",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
)
BROWSER_OPTIONS = (
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {HOST}",
)
RUN_CELL = """source => {
    const notebook = jupyterapp.shell.currentWidget.content;
    notebook.model.sharedModel.addCell({cell_type: 'code', source});
    notebook.activeCellIndex = notebook.widgets.length - 1;
    notebook.deselectAll();
    void jupyterapp.commands.execute('notebook:run-cell');
    return notebook.activeCellIndex;
}"""
CLEAR = """() => {
    const model = jupyterapp.shell.currentWidget.content.model.sharedModel;
    model.deleteCellRange(0, model.cells.length);
}"""
SHUT = """async () => {
    const panel = jupyterapp.shell.currentWidget;
    await panel.sessionContext.shutdown();
    panel.dispose();
}"""
KERNEL_IDLE = """() => {
    const panel = jupyterapp.shell.currentWidget;
    return panel?.sessionContext?.session?.kernel?.status === 'idle';
}"""
COLOURS_ARE_STILL = """() => document.getAnimations().every(
    one => !(one instanceof CSSTransition && one.transitionProperty.includes('color'))
)"""
CONTRASTS = """view => {
    const parts = css => { // of rgb(1, 2, 3) or, where colours are mixed, color(srgb 0.1 0.2 0.3 / 0.4)
        const [r, g, b, a = 1] = css.match(/\\d[\\d.]*(e-\\d+)?/g).map(Number);
        return [css.startsWith('color') ? [r, g, b].map(c => c * 255) : [r, g, b], a];
    };
    const over = (upper, lower, alpha) => upper.map((c, i) => c * alpha + lower[i] * (1 - alpha));
    const light = colour => colour.map(c => c / 255)
        .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const ratio = (one, other) => {
        const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
    };
    const ground = node => {
        if (!node) return [255, 255, 255];
        const [colour, alpha] = parts(getComputedStyle(node).backgroundColor);
        return over(colour, ground(node.parentElement), alpha);
    };
    const opacity = node => node ? Number(getComputedStyle(node).opacity) * opacity(node.parentElement) : 1;
    const found = [];
    for (const node of view.querySelectorAll('*')) {
        if (!node.checkVisibility() || node.matches(':disabled, [aria-disabled=true]')) continue;
        const [colour, alpha] = parts(getComputedStyle(node).color);
        const text = [...node.childNodes].filter(n => n.nodeType === 3).map(n => n.data.trim()).join('');
        const under = ground(node);
        if (text) found.push([text, ratio(over(colour, under, alpha * opacity(node)), under)]);
        else if (!node.children.length && !node.textContent && node.style.background)
            found.push(['', ratio(under, ground(view))]);
    }
    return found;
}"""
NUMBERED = "index => jupyterapp.shell.currentWidget.content.widgets[index].model.executionCount !== null"


@dataclass
class Lab:
    """A JupyterLab in a browser's page.

    Attributes:
        root: the folder that all of it lives in; notebooks are in `nb`.
        outside: what the page asked of another host than this one.
        errors: what went wrong in the page.
    """

    root: Path
    base: str
    token: str
    page: Page
    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def open_notebook(self, name: str, *sources: str, kernel: str = "python3") -> Notebook:
        """Write a notebook and open it, with a kernel of its own."""
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        written = nbformat.v4.new_notebook(cells=cells)
        written.metadata["kernelspec"] = {
            "name": kernel,
            "display_name": kernel,
            "language": "python",
        }  # otherwise a dialog asks which kernel
        nbformat.write(written, self.root / "nb" / name)
        self.command("docmanager:open", {"path": name})
        self.page.wait_for_function(
            f"jupyterapp.shell.currentWidget?.context?.path === '{name}' && ({KERNEL_IDLE})()"
        )
        return Notebook(self, name)

    @contextmanager
    def another_page(self, name: str) -> Iterator[Page]:
        """Open the notebook *name* once more, in a page of its own, which closes with the block."""
        browser = self.page.context.browser
        assert browser is not None
        page = browser.new_page()
        try:
            watch_page(page, self.outside, self.errors)
            page.goto(f"{self.base}/lab/workspaces/another/tree/{name}?token={self.token}")
            yield page
        finally:
            page.close()

    def read_notebook(self, name: str) -> None:
        """Open a notebook without a kernel."""
        self.command("docmanager:open", {"path": name, "kernelPreference": {"shouldStart": False}})
        self.page.wait_for_function(f"jupyterapp.shell.currentWidget?.context?.path === '{name}'")

    def add_kernel(self, name: str) -> None:
        """Make a kernel known whose packages of *name*, as installed by `make`, lie before all others."""
        overlay = ROOT / ".venv" / "kernels" / name
        assert overlay.is_dir(), f"{overlay} is missing. Hint: make browser"
        spec = {
            "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": name,
            "language": "python",
            "env": {"PYTHONPATH": os.pathsep.join([str(overlay), str(ROOT)])},
        }
        folder = self.root / "data" / "kernels" / name
        folder.mkdir(parents=True)
        (folder / "kernel.json").write_text(json.dumps(spec))
        self.page.evaluate("jupyterapp.serviceManager.kernelspecs.refreshSpecs()")

    def command(self, name: str, arguments: dict[str, Any] | None = None) -> None:
        """Carry out one of JupyterLab's commands, and wait until it is done."""
        self.page.evaluate(
            "([name, args]) => jupyterapp.commands.execute(name, args).then(() => null)",
            [name, arguments or {}],
        )

    def set_theme(self, name: str) -> None:
        """Switch to one of JupyterLab's themes."""
        self.command("apputils:change-theme", {"theme": name})
        self.page.locator(f"body[data-jp-theme-name='{name}']").wait_for(state="attached")
        self.page.locator("#jupyterlab-splash").wait_for(state="detached")
        self.page.wait_for_function(COLOURS_ARE_STILL)

    def kernel_file(self, notebook: str) -> Path:
        """Return the connection file of the kernel of *notebook*."""
        with urlopen(f"{self.base}/api/sessions?token={self.token}", timeout=ANSWER_S) as answer:
            sessions = {session["path"]: session["kernel"]["id"] for session in json.load(answer)}
        return self.root / "runtime" / f"kernel-{sessions[notebook]}.json"


@dataclass
class Cell:
    """A code cell of the notebook that is open."""

    lab: Lab
    index: int

    @property
    def outputs(self) -> Locator:
        """What stands below it, one after the other."""
        cells = self.lab.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook .jp-Cell")
        return cells.nth(self.index).locator(".jp-OutputArea-output")

    def ended(self) -> Cell:
        """Wait until it has run."""
        self.lab.page.wait_for_function(NUMBERED, arg=self.index)
        self.lab.page.wait_for_function(KERNEL_IDLE)
        return self


@dataclass
class Notebook:
    """A notebook that is open in JupyterLab."""

    lab: Lab
    name: str

    def run(self, source: str) -> Cell:
        """Add a cell at the end and run it, without waiting for it."""
        return Cell(self.lab, self.lab.page.evaluate(RUN_CELL, source))

    def clear(self) -> None:
        """Take all cells away; the kernel keeps what it knows."""
        self.lab.page.evaluate(CLEAR)

    def interrupt(self) -> None:
        """Press ■."""
        self.lab.command("notebook:interrupt-kernel")

    def restart(self) -> None:
        """Restart its kernel, without a question, and wait until it answers."""
        self.lab.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
        self.ask("None")
        self.lab.page.wait_for_function(KERNEL_IDLE)

    def shut(self) -> None:
        """End its kernel and take it from the page, without a question."""
        self.lab.page.evaluate(SHUT)

    def save(self) -> dict[str, Any]:
        """Save it, and return what is on disk then."""
        self.lab.command("docmanager:save")
        return json.loads((self.lab.root / "nb" / self.name).read_text(encoding="utf-8"))

    def tell(self, code: str, within_s: float = ANSWER_S) -> None:
        """Have the kernel execute *code* beside the page; no cell shows it."""
        self._ask(code, {}, within_s)

    def ask(self, expression: str) -> Any:
        """Return a plain value from the kernel, asked beside the page."""
        answer = self._ask("", {"asked": expression})["asked"]
        assert answer["status"] == "ok", answer
        return ast.literal_eval(answer["data"]["text/plain"])

    def _ask(self, code: str, expressions: dict[str, str], within_s: float = ANSWER_S) -> Any:
        kernel = BlockingKernelClient(connection_file=str(self.lab.kernel_file(self.name)))
        kernel.load_connection_file()
        kernel.start_channels()
        try:
            kernel.wait_for_ready(timeout=ANSWER_S)
            reply = kernel.execute_interactive(
                code, silent=True, store_history=False, user_expressions=expressions, timeout=within_s
            )
        finally:
            kernel.stop_channels()
        assert reply["content"]["status"] == "ok", reply["content"]
        return reply["content"]["user_expressions"]


def find_chromium() -> str | None:
    """Return the path of a Chromium, or None where there is none."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


@contextmanager
def open_browser(chromium: str) -> Iterator[Browser]:
    """Start a browser that finds no host but this one; it ends with the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(BROWSER_OPTIONS))
        yield browser
        browser.close()


@contextmanager
def open_lab(root: Path, browser: Browser) -> Iterator[Lab]:
    """Start a JupyterLab in *root* and a page that shows it; both end with the block."""
    token = secrets.token_hex(16)
    (root / "nb").mkdir()
    with _server(root, token) as base:
        page = browser.new_page(viewport={"width": 1280, "height": 1400})
        page.set_default_timeout(ANSWER_S * 1000)
        lab = Lab(root, base, token, page)
        watch_page(page, lab.outside, lab.errors)
        page.goto(f"{base}/lab?token={token}&reset", wait_until="domcontentloaded")
        page.wait_for_function("window.jupyterapp?.restored.then(() => true)", timeout=START_S * 1000)
        lab.command("application:toggle-left-area")
        yield lab
        page.close()


def environment(root: Path) -> dict[str, str]:
    """Return an environment in which Jupyter keeps everything in *root*, knows no key, and imports from this folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PENDO_", "JUPYTER"))}
    folders = {f"JUPYTER_{name}_DIR": str(root / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    return kept | folders | {
        "HOME": str(root),
        "PYTHONPATH": str(ROOT),
        "IPYTHONDIR": str(root / "ipython"),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "JUPYTERLAB_SETTINGS_DIR": str(root / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(root / "workspaces"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }  # fmt: skip


@contextmanager
def _server(root: Path, token: str) -> Iterator[str]:
    settings = root / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps(QUIET))  # without it a question about news lies over a corner
    port = _free_port()
    command = [sys.executable, "-m", "jupyterlab", *SERVER_OPTIONS, f"--port={port}"]
    command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={root / 'nb'}"]
    base = f"http://{HOST}:{port}"
    with (root / "lab.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment(root), stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait_for(f"{base}/api/status?token={token}", process, root / "lab.log")
            yield base
        finally:
            process.send_signal(signal.SIGTERM)  # it stops its kernels then
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end_s = time.monotonic() + START_S
    while True:
        try:
            with urlopen(url, timeout=2):
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > end_s:
                raise AssertionError(log.read_text(errors="replace")) from None
            time.sleep(0.1)


def watch_page(page: Page, outside: list[str], errors: list[str]) -> None:
    """Note what *page* asks of another host, and what goes wrong in it."""

    def look(request: Request | WebSocket) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname != HOST:
            outside.append(request.url)

    def note(error: Error) -> None:
        where = error.stack or str(error)
        if not ("reading 'kernel'" in where and "jupyterlab-manager" in where):  # of a notebook that has none
            errors.append(where)

    page.context.on("request", look)
    page.on("websocket", look)
    page.on("pageerror", note)


def execute(root: Path, name: str, *sources: str) -> dict[str, Any]:
    """Have nbconvert execute a notebook of these cells, with nobody there to see it, and return what it wrote."""
    path = root / name
    nbformat.write(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in sources]), path
    )
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--inplace", str(path)]
    for _ in range(
        2
    ):  # two kernels that start at once may draw the same port: then one dies, and is started again
        done = subprocess.run(
            command, env=environment(root), cwd=root, capture_output=True, text=True, timeout=120, check=False
        )
        if "Kernel died before replying" not in done.stderr:
            break
    assert done.returncode == 0, done.stderr
    executed: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return executed


def contrasts(view: Locator) -> list[tuple[str, float]]:
    """Return each text and each bare mark of *view*, with its contrast to what lies under it."""
    return [(text, ratio) for text, ratio in view.evaluate(CONTRASTS)]


def too_faint(view: Locator) -> list[tuple[str, float]]:
    """Return what of *view* has less contrast than WCAG asks for: 4.5 for a text, 3 for a mark."""
    return [(text, ratio) for text, ratio in contrasts(view) if ratio < (4.5 if text else 3)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
