import { button, copy, count, h, value, visible } from "./kit.js";
// What a run's view is made of: texts, buttons that rest, a small line, and the rejected rows.

const WIDTH = 180, HEIGHT = 26;

/** Show a text, with what can't be seen in it written out. */
export function set(node, text) {
  const seen = visible(text);
  if (node.textContent !== seen) node.textContent = seen;
}

/** Let a button rest, or not; one that is disabled for good would lose the focus. */
export function setIdle(node, is_idle) {
  node.setAttribute("aria-disabled", String(Boolean(is_idle)));
}

/** Whether a button rests. */
export function isIdle(node) {
  return node.getAttribute("aria-disabled") === "true";
}

/** Show a text, or hide the line where there is none. */
export function setLine(node, text) {
  node.hidden = !text;
  set(node, text || "");
}

/** Return a small line of the ids a second over a run. */
export function drawLine() {
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  const most = h("span", { class: "ps-muted" });
  const node = h("span", { class: "ps-run-spark", hidden: true }, shape, most);
  shape.setAttribute("role", "img");
  shape.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  shape.append(path);
  const show = ({ course, over }) => {
    const points = over || course.length < 3 ? course : course.slice(0, -1); // the last stretch is not whole yet
    const top = Math.max(...points, 0);
    node.hidden = points.length < 3 || !top;
    if (node.hidden) return;
    const at = (n, index) => `${(index * WIDTH / (points.length - 1)).toFixed(1)} ${(HEIGHT - 1 - n / top * (HEIGHT - 3)).toFixed(1)}`;
    path.setAttribute("d", `M${points.map(at).join("L")}`);
    const rate = (n) => n.toLocaleString("en", { maximumFractionDigits: n < 10 ? 1 : 0 });
    shape.setAttribute("aria-label", `Ids a second over the run: ${rate(points.at(-1))} ${over ? "at the end" : "now"}, ${rate(top)} at most`);
    set(most, `at most ${rate(top)} ids/s`);
  };
  return { node, show };
}

/** Return the rejected rows: how many for which reason, then page by page. */
export function drawRows(ask) {
  const node = h("div", { class: "ps-run-rejected", role: "region", "aria-label": "Rejected rows", hidden: true });
  let chosen = null, reasons = [];
  const list = h("div", { class: "ps-run-reasons", role: "group", "aria-label": "Reasons" });
  const body = h("tbody");
  const table = h("table", {}, h("thead", {}, h("tr", {}, ["id", "status", "reason"].map((name) => h("th", { scope: "col" }, name)))), body);
  const where = h("span", { class: "ps-muted", role: "status" });
  let page = null;
  const back = button("‹ Previous", () => { if (!isIdle(back)) turn(page.at - page.size); });
  const on = button("Next ›", () => { if (!isIdle(on)) turn(page.at + page.size); });
  const pager = h("span", { class: "ps-push" }, back, " ", on);
  const code = h("pre", { class: "ps-code" });
  node.append(list, h("div", { class: "ps-run-table", tabIndex: 0, role: "group", "aria-label": "Rows" }, table), h("div", { class: "ps-bar" }, where, pager),
    h("div", { class: "ps-run-code" }, code, button("Copy as code", (event) => copy(code.textContent, event.target))));

  const turn = (at) => ask("rows", chosen === null ? { at } : { at, reason: chosen }, (told) => {
    page = told;
    body.replaceChildren(...told.rows.map(([id, status, why]) => h("tr", {}, h("td", { class: "ps-mono" }, value(id)), h("td", {}, status), h("td", {}, value(why)))));
    set(where, `${count(page.at + 1)} to ${count(page.at + told.rows.length)} of ${count(told.n, "row")}`);
    setIdle(back, page.at === 0);
    setIdle(on, page.at + told.rows.length >= told.n);
    pager.hidden = told.rows.length === told.n;
  });
  const choose = (index) => {
    chosen = index;
    [...list.children].forEach((one, place) => one.setAttribute?.("aria-pressed", String(place - 1 === (index ?? -1))));
    turn(0);
  };
  const show = (told) => {
    reasons = told.reasons;
    list.replaceChildren(
      h("button", { type: "button", class: "ps-run-reason", onclick: () => choose(null) }, h("b", {}, count(told.n)), h("span", {}, "all of them")),
      ...reasons.map(([n, status, why], index) => h("button", { type: "button", class: "ps-run-reason", onclick: () => choose(index) },
        h("b", {}, count(n)), h("span", {}, `${status} `, why ? value(why, { class: "ps-muted" }) : h("span", { class: "ps-muted" }, "no reason was given")))));
    if (told.more) list.append(h("span", { class: "ps-muted" }, `and ${count(told.more, "other reason")}`));
    code.textContent = told.code;
    choose(null);
  };
  return {
    node,
    toggle() {
      node.hidden = !node.hidden;
      if (!node.hidden) ask("reasons", {}, show);
    },
  };
}
