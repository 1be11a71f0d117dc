// A mapping under edit: a row a trait. The kernel holds it; each gesture here is one question, each answer a picture.

import { combobox } from "./combobox.js";
import { button, copy, count, h, open, value, visible, widget } from "./kit.js";

const MOST_OPTIONS = 100;
const HEADS = ["In", "Trait", "Samples", "", "Pendo field", "Sent as", "Null", "Check"];
const fold = (text) => text.replace(/[\s_]+/g, "").toLowerCase();
const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;
const ZONES = [...new Set(["UTC", ...(Intl.supportedValuesOf?.("timeZone") ?? [])])];

/** Show the editing of a mapping in `el`; return what ends it. */
export function renderMapping({ model, el }) {
  const { root, ask, hear, close } = open(model, el, "Mapping");
  const head = h("div", { class: "ps-bar" });
  const broken = h("div", { class: "ps-notice ps-wrong", role: "alert", hidden: true });
  const creations = h("div", { class: "ps-bar ps-muted", hidden: true });
  const zones = zoneBar((zone) => ask("zone", { zone }));
  const code = codePanel();
  const body = h("tbody", { role: "rowgroup" });
  const left = section("left"), untouched = section("untouched");
  let told = null, drawn = [];

  const change = (index, changes) => ask("set", { index, changes });
  const draw = (picture) => {
    drawHead(head, picture, code);
    broken.hidden = !picture.broken;
    broken.textContent = picture.broken;
    creations.hidden = !picture.creations;
    creations.textContent = picture.creations;
    zones.draw(picture);
    code.draw(picture);
    drawRows(picture);
    drawLeft(left, picture, (column) => ask("add", { column }));
    drawUntouched(untouched, picture);
  };
  const drawRows = (picture) => {
    const focused = body.contains(document.activeElement) ? document.activeElement : null;
    const [key, rowKey] = [focused?.dataset.key, focused?.closest("tr")?.dataset.row];
    const rows = [idRow(picture), ...picture.rows.map((row) => ({ ...row, key: row.index, picture }))];
    const before = new Map(drawn.map((one) => [one.key, one]));
    drawn = rows.map((row) => {
      const text = JSON.stringify({ ...row, picture: undefined });
      const old = before.get(row.key);
      return old?.text === text ? old : { key: row.key, text, node: row.key === "id" ? idNode(row) : traitNode(row, told, change, zones.focus) };
    });
    body.replaceChildren(...drawn.map((one) => one.node));
    if (focused?.isConnected) focused.focus(); // moving its row took the focus away
    else if (key) (body.querySelector(`[data-key="${key}"]`) ?? body.querySelector(`[data-row="${rowKey}"] input`))?.focus();
  };

  const waiting = h("div", { class: "ps-bar ps-muted" }, "Looking at the table…");
  root.append(waiting);
  hear("picture", ({ picture }) => told && draw(picture));
  ask("open", {}, (answer) => {
    told = answer;
    waiting.remove();
    root.append(head, broken, creations, zones.node, code.node, table(body), left.node, untouched.node);
    draw(answer.picture);
  });
  return close;
}

function table(body) {
  const heads = HEADS.map((text) => h("th", { role: "columnheader", scope: "col" }, text || h("span", { class: "ps-unseen" }, "becomes")));
  return h("div", { class: "pm-scroll" },
    h("table", { class: "pm-table", role: "table", "aria-label": "Traits" },
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads)), body));
}

function section(name) {
  const summary = h("summary", {}), content = h("div", { class: "pm-many", role: "group", tabindex: 0 });
  return { node: h("details", { class: `pm-section pm-${name}`, hidden: true }, summary, content), summary, content };
}

// The head

function drawHead(head, picture, code) {
  const { counts, kind, n_rows: nRows, group, route } = picture;
  const many = `${kind[0].toUpperCase()}${kind.slice(1)}s`;
  if (!head.firstChild) {
    const tags = [count(nRows, "row"), `→ ${visible(group)}`, route === "metadata" ? "" : `by ${route}`];
    head.append(h("span", { class: "ps-title" }, many), ...tags.filter(Boolean).map((text) => h("span", { class: "ps-tag" }, text)),
      h("span", { class: "ps-push pm-counts", role: "status" }), ...code.controls);
  }
  head.querySelector(".pm-counts").replaceChildren(
    `${count(counts.traits, "trait")} → ${count(counts.fields, "field")}`,
    ...(counts.blocked ? [" · ", h("span", { class: "ps-bad" }, `✕ ${count(counts.blocked)} blocked`)] : []),
    ...(counts.warnings ? [" · ", h("span", { class: "ps-warn" }, `△ ${count(counts.warnings, "warning")}`)] : []));
}

function zoneBar(choose) {
  const list = h("datalist", { id: `ps-zones-${Math.random().toString(36).slice(2)}` }, ZONES.map((zone) => h("option", { value: zone })));
  const input = h("input", { class: "ps-input", list: list.id, placeholder: "none: they are blocked", onchange: () => choose(input.value.trim()) });
  const node = h("div", { class: "ps-bar pm-zone", hidden: true }, h("label", {}, "Times without a zone are read on the clocks of ", input), list);
  return {
    node,
    focus: (zone) => { if (zone) choose(zone); else input.focus(); },
    draw(picture) {
      node.hidden = !picture.has_naive && !picture.zone;
      if (document.activeElement !== input) input.value = picture.zone;
    },
  };
}

function codePanel() {
  let language = "python", shown = null;
  const text = h("pre", { class: "ps-code", tabindex: 0 });
  const note = h("p", { class: "ps-muted pm-small", hidden: true });
  const copyButton = button("Copy as code", (event) => copy(shown[language], event.currentTarget));
  const languages = choice([["python", "Python"], ["toml", "TOML"]], language, (chosen) => { language = chosen; draw(shown); }, { "aria-label": "Language of the code" });
  const node = h("div", { class: "pm-code", hidden: true }, note, text);
  const toggle = button("Show code", () => {
    node.hidden = !node.hidden;
    toggle.setAttribute("aria-expanded", String(!node.hidden));
    toggle.textContent = node.hidden ? "Show code" : "Hide code";
  }, { "aria-expanded": "false" });
  const draw = (picture) => {
    shown = picture;
    copyButton.disabled = !picture[language];
    copyButton.title = picture[language] ? "" : picture.broken || picture.note;
    note.hidden = !picture.note;
    note.textContent = picture.note;
    text.textContent = picture[language].split("\n").map(visible).join("\n")
      || (picture.broken ? "There is no code until the mapping is mended." : "This mapping can’t be written as TOML.");
  };
  return { node, controls: [copyButton, languages, toggle], draw };
}

// A row

const cell = (name, ...children) => h("td", { role: "cell", class: `pm-${name}` }, ...children);
const cutText = (text, kind = "") => value(text, { class: `ps-cut ${kind}`, title: visible(text) });

function samples(texts) {
  const shown = texts.map((text) => visible(text)).join(" · ");
  return h("span", { class: "ps-cut ps-mono pm-samples-text", title: shown },
    texts.flatMap((text, at) => [at ? h("span", { class: "ps-muted" }, " · ") : null, value(text)]));
}

function idRow(picture) {
  return { key: "id", kind: picture.kind, nRows: picture.n_rows, ...picture.id };
}

function idNode(row) {
  const good = row.problems.length ? null : h("span", { class: "ps-good" }, `✓ ${count(row.n_unique)} unique`);
  return h("tr", { role: "row", "data-row": "id", class: "pm-id" },
    cell("in", h("span", { class: "ps-muted", "aria-hidden": "true" }, "⚷"), h("span", { class: "ps-unseen" }, "id")),
    cell("trait", cutText(row.source), " ", h("span", { class: "ps-tag" }, row.dtype)),
    cell("samples", samples(row.samples)), cell("arrow", "→"),
    cell("field", h("b", {}, `${row.kind} id`)),
    cell("sent", cutText(row.encoded, "ps-mono")), cell("null"),
    cell("check", good, row.problems.map((problem) => problemNode(problem, []))));
}

function traitNode(row, told, change, chooseZone) {
  const set = (changes) => change(row.index, changes);
  const of = `of ${visible(row.source)}`;
  const key = (name) => `${row.index}:${name}`;
  const include = h("input", {
    type: "checkbox", checked: row.included, "data-key": key("in"), "aria-label": `Include ${visible(row.source)}`,
    onchange: (event) => set({ included: event.target.checked }),
  });
  const field = combobox(row.field, (query) => fieldOptions(query, row, told, set), {
    "data-key": key("field"), "aria-label": `Pendo field ${of}`, disabled: !row.included,
  });
  const type = choice(typeOptions(row, told.types), row.type, (chosen) => set({ type: chosen || null }),
    { "data-key": key("type"), "aria-label": `Type ${of}`, disabled: !row.included });
  const onNull = choice([["keep", "keep"], ["clear", "clear"]], row.null, (chosen) => set({ null: chosen }),
    { "data-key": key("null"), "aria-label": `On null ${of}`, disabled: !row.included, title: nullTitle(row) });
  const mends = row.included ? (problem, at) => problem.mends.flatMap((mend, n) => mendNodes(mend, key(`mend-${at}-${n}`), set, chooseZone)) : () => [];
  return h("tr", { role: "row", "data-row": row.index, class: row.included ? "" : "pm-out" },
    cell("in", include),
    cell("trait", cutText(row.source), " ", row.computed ? h("span", { class: "ps-tag" }, row.computed) : null, " ", row.dtype ? h("span", { class: "ps-tag" }, row.dtype) : null),
    cell("samples", row.samples.length ? samples(row.samples) : h("span", { class: "ps-muted" }, row.dtype ? "no value" : "")),
    cell("arrow", "→"),
    cell("field", field, row.name && fold(row.name) !== fold(row.field) ? cutText(row.name, "ps-muted pm-small") : null,
      row.parts.length ? h("span", { class: "ps-muted pm-small" }, `${count(row.parts.length, "field")}: `, row.parts.flatMap((part, at) => [at ? " · " : null, value(part)])) : null),
    cell("sent", type, cutText(row.encoded, "ps-mono")),
    cell("null", onNull),
    cell("check", checkNodes(row, mends)));
}

function checkNodes(row, mends) {
  if (!row.included) return h("span", { class: "ps-muted" }, "left out");
  if (!row.problems.length) return h("span", { class: "ps-good" }, h("span", { "aria-hidden": "true" }, "✓"), h("span", { class: "ps-unseen" }, "no problem"));
  return row.problems.map((problem, at) => problemNode(problem, mends(problem, at)));
}

function problemNode(problem, mends) {
  const [sign, kind] = problem.blocks ? ["✕", "ps-bad"] : ["△", "ps-warn"];
  return h("div", { class: "pm-problem" },
    h("span", { class: kind }, `${sign} `, partsOf(problem.parts), visible(problem.short)), " ",
    mends.flatMap((mend) => [mend, " "]),
    h("div", { class: "ps-muted pm-small" }, visible(problem.means)));
}

function partsOf(parts) {
  if (!parts?.length) return null;
  const more = parts.length > 3 ? ` and ${count(parts.length - 3)} more` : "";
  return [parts.slice(0, 3).flatMap((part, at) => [at ? ", " : null, value(part)]), more, ": "].flat();
}

function mendNodes(mend, key, set, chooseZone) {
  const link = (label, act, name) => button(visible(label), act, { class: "ps-link", "data-key": name });
  if (!mend.asks_zone) return [link(mend.label, () => set(mend.changes), key)];
  const zones = [...new Set(["UTC", ZONE])].filter((zone) => ZONES.includes(zone));
  return [...zones.map((zone) => link(zone, () => chooseZone(zone), `${key}-${zone}`)), link("another zone…", () => chooseZone(""), `${key}-other`)];
}

function choice(options, chosen, choose, props) {
  return h("select", { class: "ps-input pm-select", onchange: (event) => choose(event.target.value), ...props },
    options.map(([name, label]) => h("option", { value: name, selected: name === chosen }, label)));
}

function typeOptions(row, types) {
  const own = row.natural || (row.type ? "" : row.becomes);
  return [["", own ? `${own} (own)` : "its own"], ...types.map((name) => [name, name])];
}

function nullTitle(row) {
  const nulls = row.n_null ? `${count(row.n_null, "value")} ${row.n_null === 1 ? "is" : "are"} null here. ` : "No value is null here. ";
  return `${nulls}keep leaves alone what Pendo holds, clear sends null.`;
}

// Pendo's fields, to choose from

function fieldOptions(query, row, told, set) {
  const words = query.split(/\s+/).map(fold).filter(Boolean);
  const hits = told.choices.filter((one) => words.every((word) => fold(`${one.field}\n${one.name}`).includes(word)));
  const shown = hits.slice(0, MOST_OPTIONS).map((one) => ({
    node: fieldNode(one), why: one.whyNot, isFirst: one.field === (query || row.field) && !one.whyNot, take: () => set({ field: one.field }),
  }));
  const rest = hits.length > shown.length ? [{ node: `and ${count(hits.length - shown.length)} more: type to find them`, why: "more" }] : [];
  return [...shown, ...rest, newOption(query, told, set)];
}

function newOption(query, told, set) {
  if (!query) return { node: h("span", { class: "ps-muted" }, told.isKnown ? "New field: type its key" : "Type the key of a field"), why: "type" };
  const known = told.choices.find((one) => one.field === query && !one.whyNot);
  if (known) return { node: h("span", { class: "ps-muted" }, "The key of a field that is there"), why: "known" };
  const note = told.isKnown && told.picture.route === "metadata" ? "create it in Pendo first" : "";
  return {
    node: [h("span", {}, told.isKnown ? "New field " : "Field ", value(query, { class: "pm-key" })), h("span", { class: "ps-muted" }, note)],
    take: () => set({ field: query }),
  };
}

function fieldNode(one) {
  const name = one.name && one.name !== one.field ? value(one.name, { class: "ps-muted" }) : null;
  const reason = one.whyNot ? h("span", { class: "ps-muted pm-small" }, visible(one.whyNot)) : null;
  const tags = [one.type || "any", one.group].map((text) => h("span", { class: "ps-tag" }, visible(text)));
  return [
    h("span", { class: "pm-option" }, value(one.field, { class: "pm-key" }), " ", name, reason),
    h("span", { class: "pm-option-end" }, tags[0], " ", tags[1]),
  ];
}

// What is left over

function drawLeft({ node, summary, content }, picture, add) {
  const columns = picture.left_out;
  if (node.hidden) node.open = columns.length <= 12;
  node.hidden = !columns.length;
  content.setAttribute("aria-label", "Columns left out");
  summary.textContent = `Left out: ${count(columns.length, "column")} of the table`;
  content.replaceChildren(...columns.map(({ column, dtype }) => h("span", { class: "pm-one" },
    cutText(column), h("span", { class: "ps-tag" }, dtype),
    button("add", () => add(column), { class: "ps-link", "aria-label": `Add ${visible(column)}` }))));
}

function drawUntouched({ node, summary, content }, picture) {
  const fields = picture.untouched;
  node.hidden = !fields.length;
  content.setAttribute("aria-label", "Untouched fields");
  summary.textContent = `Untouched: ${count(fields.length, "field")} of Pendo that nothing here fills`;
  content.replaceChildren(...fields.map((one) => h("span", { class: "pm-one" },
    cutText(one.field), one.name && one.name !== one.field ? cutText(one.name, "ps-muted") : null,
    h("span", { class: "ps-tag" }, one.type || "any"))));
}

export default widget(renderMapping);
