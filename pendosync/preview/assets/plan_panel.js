// One field's column as a small picture, and one row as a whole.
import { button, copy, count, h, value, visible } from "./kit.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 108, HEIGHT = 20;

/** Return what stands below a field's name: how many change, how many have a value, and how the values lie. */
export function fieldPicture(column, picture) {
  const percent = (share) => share > 0 && share < 0.01 ? "< 1 %" : share < 1 && share > 0.99 ? "> 99 %" : `${Math.round(100 * share)} %`;
  const told = picture?.is_loss ? `${count(picture.n_cleared)} ${picture.is_sample ? `of ${count(picture.n)} ` : ""}cleared` : `${count(column.n_changed)} ${column.is_compared ? "change" : "filled"}`;
  const shares = picture ? picture.held.map((n) => picture.n ? n / picture.n : 0) : [];
  const words = shares.map(percent);
  const node = h("div", { class: "pp-picture" }, h("div", { class: `pp-sub ${picture?.is_loss ? "ps-warn" : "ps-muted"}` },
    h("span", { class: "ps-cut" }, picture?.is_loss ? h("span", { "aria-hidden": "true" }, "△ ") : null, told), h("span", {}, words[1] ?? "")));
  if (!picture) return node;
  const seen = picture.is_sample ? ` of the ${count(picture.n)} ids looked at` : "";
  const moves = `${count(column.n_changed, "change")}: ${count(picture.n_new)} new, ${count(picture.n_cleared)} cleared${seen}. ${words[0]} filled before, ${words[1]} after.`;
  const sentence = `${column.is_compared ? moves : `${words[1]} filled${seen}.`} ${distributionWords(picture, column.is_compared)}`;
  node.title = sentence;
  node.append(bars(picture, column.is_compared, `${visible(column.name)}: ${sentence}`), h("div", { class: "pp-held", "aria-hidden": "true" },
    h("i", { class: "pp-held-before", style: `width:${100 * shares[0]}%` }), h("i", { class: "pp-held-after", style: `width:${100 * shares[1]}%` })));
  return node;
}

function distributionWords({ kind, labels, bars: pairs, n_values: n }, isCompared) {
  if (!pairs.length) return "No values.";
  if (kind === "ranges") return `From ${labels[0]} to ${labels[1]}.`;
  const each = pairs.map(([before, after], at) => `${visible(labels[at])}: ${isCompared ? `${count(before)} before, ${count(after)} after` : count(after)}`);
  return `${each.join("; ")}${n > pairs.length ? `; and ${count(n - pairs.length, "more value")}` : ""}.`;
}

function bars({ bars: told }, isCompared, label) {
  const pairs = isCompared ? told : told.map(([, after]) => [after]);
  const svg = document.createElementNS(SVG, "svg");
  for (const [name, one] of Object.entries({ viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, role: "img", "aria-label": label })) svg.setAttribute(name, one);
  const most = Math.max(1, ...pairs.flat()), slot = WIDTH / Math.max(6, pairs.length);
  pairs.forEach((pair, at) => pair.forEach((n, side) => {
    const bar = document.createElementNS(SVG, "rect"), tall = n ? Math.max(1, (HEIGHT * n) / most) : 0, width = (slot - 2) / pair.length;
    for (const [name, one] of Object.entries({ x: at * slot + side * width, y: HEIGHT - tall, width, height: tall, class: side === pair.length - 1 ? "pp-after" : "pp-before" })) bar.setAttribute(name, one);
    svg.append(bar);
  }));
  return svg;
}

/** Return what the panel of one row holds. */
export function rowPanel(row, isHeld, close) {
  const isAbout = ([name]) => row.about.includes(name), others = row.cells.filter((cell) => !isAbout(cell));
  const moved = others.filter(([, cell]) => cell[0]), still = others.filter(([, cell]) => !cell[0]);
  const line = ([name, [mark, after, before]]) => [h("dt", {}, value(name)), h("dd", {},
    mark === "n" ? h("span", { class: "pp-mark" }, "new ") : null,
    mark === "c" || mark === "x" ? [h("s", {}, value(before)), " → "] : null,
    mark === "x" ? h("i", {}, "cleared") : after === null ? h("i", { class: "ps-muted" }, "nothing") : value(after))];
  return [
    h("div", { class: "pp-panel-head" }, h("h3", { class: "ps-mono" }, value(row.id)), button("✕", close, { "aria-label": "Close the row", class: "pp-close" })),
    h("div", { class: "ps-muted" }, `${row.action}${row.row === null ? "" : ` · row ${count(row.row)} of the table`}`),
    row.batch ? null : h("h4", {}, "Never sent: its integrations turn Pendo off"),
    ...row.problems.map((problem) => h("p", { class: problem.severity === "warn" ? "ps-warn" : "ps-bad" },
      problem.severity === "warn" ? "△ " : "✕ ", problem.field ? [value(problem.field), ": "] : null, visible(problem.reason))),
    h("dl", {}, row.cells.filter(isAbout).map(line), moved.map(line)),
    still.length ? h("details", {}, h("summary", {}, count(still.length, isHeld ? "unchanged value" : "other column")), h("dl", { class: "ps-muted" }, still.map(line))) : null,
    ...(row.batch ? requestOf(row) : []),
  ].filter(Boolean);
}

function requestOf(row) {
  const copyCurl = button("Copy as curl", (event) => copy(row.curl, event.currentTarget));
  const copyBody = button("Copy body", (event) => copy(row.body, event.currentTarget));
  return [
    h("h4", {}, `Travels in request ${count(row.batch[0])} of ${count(row.batch[1])}`),
    h("pre", { class: "ps-code", tabIndex: 0, "aria-label": "The request, with this row's record" }, `${row.path}\n${visible(row.body)}`),
    h("div", { class: "pp-doing" }, copyBody, copyCurl),
    h("details", {}, h("summary", {}, "curl, the key left out"), h("pre", { class: "ps-code", tabIndex: 0 }, visible(row.curl))),
  ];
}
