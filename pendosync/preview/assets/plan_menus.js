// The menus of a preview: which columns are shown, and what one of them is filtered by.
import { button, calm, count, h, value, visible } from "./kit.js";

const STATES = { "": "any", changed: "changes", new: "is new", other: "gets another value", cleared: "is cleared", unchanged: "stays as it is" };

/** Return each filter in force in words, with the filters that are left without it, and whether a chip shows it. */
export function filterWords(filter) {
  const words = [];
  if (filter.rule) words.push({ text: `problem: ${filter.rule.replaceAll("_", " ")}`, without: { rule: "" }, isChip: true });
  if (filter.text) words.push({ text: `text: ${filter.text}`, without: { text: "" } });
  for (const action of filter.actions) words.push({ text: `action: ${action}`, without: { actions: filter.actions.filter((one) => one !== action) }, isChip: true });
  for (const [name, asked] of Object.entries(filter.columns)) {
    const { [name]: _, ...others } = filter.columns;
    words.push({ text: `${name} ${columnWords(asked)}`, without: { columns: others } });
  }
  return words;
}

function columnWords(asked) {
  const parts = [];
  if (asked.state) parts.push(STATES[asked.state]);
  if (asked.values?.length) parts.push(`is ${asked.values.map((one) => one === null ? "nothing" : String(one)).join(" or ")}`);
  if (asked.contains) parts.push(`holds “${asked.contains}”`);
  if (asked.low) parts.push(`from ${asked.low}`);
  if (asked.high) parts.push(`to ${asked.high}`);
  return parts.join(", ");
}

/** Return what the menu of one column holds; `asks` is what it is filtered by, `does` what its controls do. */
export function columnMenu(column, choices, asks, isPinned, does) {
  const asked = { values: [], ...asks };
  const tell = () => {
    const kept = Object.fromEntries(Object.entries(asked).filter(([, one]) => Array.isArray(one) ? one.length : one));
    does.set(Object.keys(kept).length ? kept : null);
  };
  const soon = calm(tell, 250);
  const put = (name, one, tellIt) => { asked[name] = one; tellIt(); };
  const line = (label, control) => h("label", { class: "pp-line" }, h("span", {}, label), control);
  const input = (name, type, placeholder) => {
    const node = h("input", { class: "ps-input", type, placeholder, oninput: () => put(name, node.value.trim(), soon) });
    node.value = asked[name] ?? "";
    return node;
  };
  const box = (one, label, n) => h("label", { class: "pp-choice" }, h("input", {
    type: "checkbox", checked: asked.values.includes(one),
    onchange: (event) => put("values", event.target.checked ? [...asked.values, one] : asked.values.filter((other) => other !== one), tell),
  }), h("span", { class: "ps-cut" }, label), h("span", { class: "ps-muted ps-push" }, count(n)));
  const filters = [];
  if (column.is_compared) {
    const states = h("select", { class: "ps-input", onchange: () => put("state", states.value, tell) },
      Object.entries(STATES).map(([key, label]) => h("option", { value: key }, label)));
    states.value = asked.state ?? "";
    filters.push(line("Cell", states));
  }
  if (column.kind === "text" || column.kind === "list") filters.push(line("Holds", input("contains", "text", "some text")));
  if (column.kind === "number") filters.push(line("From", input("low", "number", choices.low)), line("To", input("high", "number", choices.high)));
  if (column.kind === "date") filters.push(line("From", input("low", "date", "")), line("To", input("high", "date", "")), h("div", { class: "ps-muted" }, choices.low ? `${choices.low} to ${choices.high}` : "no dates"));
  filters.push(...choices.top.map(([one, n]) => box(one, value(one), n)));
  if (choices.n_nulls && column.kind !== "other") filters.push(box(null, "nothing there", choices.n_nulls));
  if (choices.n_sampled) filters.push(h("div", { class: "ps-muted" }, `Values seen in ${count(choices.n_sampled, "row")} from all through the plan`));
  return [
    h("div", { class: "ps-title ps-cut" }, value(column.name)),
    h("div", { class: "pp-doing" }, button("↑ Sort", () => does.sort(false)), button("↓ Sort", () => does.sort(true)),
      column.is_id ? null : [button(isPinned ? "Unpin" : "Pin", does.pin), button("Hide", does.hide),
        button("Wider", () => does.widen(60)), button("Narrower", () => does.widen(-60))]),
    filters.length ? h("fieldset", { class: "pp-set" }, h("legend", {}, "Show rows where"), filters) : null,
  ].filter(Boolean);
}

/** Return what the menu of all columns holds: which are shown. */
export function columnsMenu(columns, hidden, changed) {
  const rows = columns.map((column) => h("label", { class: "pp-choice", "data-name": column.name.toLowerCase() }, h("input", {
    type: "checkbox", checked: !hidden.has(column.name),
    onchange: (event) => { if (event.target.checked) hidden.delete(column.name); else hidden.add(column.name); changed(); },
  }), h("span", { class: "ps-cut", title: visible(column.name) }, value(column.name)),
  h("span", { class: "ps-muted ps-push" }, column.is_compared ? count(column.n_changed, "change") : column.is_field ? `${count(column.n_changed)} filled` : column.about || "kept")));
  const all = (on) => {
    for (const column of columns) if (on) hidden.delete(column.name); else if (!column.n_changed && !column.about) hidden.add(column.name);
    for (const [at, row] of rows.entries()) row.querySelector("input").checked = !hidden.has(columns[at].name);
    changed();
  };
  const find = h("input", { class: "ps-input", type: "search", placeholder: "Find a column", "aria-label": "Find a column", oninput: () => {
    for (const row of rows) row.hidden = !row.dataset.name.includes(find.value.toLowerCase());
  } });
  return [h("div", { class: "pp-doing" }, button("Show all", () => all(true)), button("Only what changes", () => all(false))),
    columns.length > 12 ? find : null, h("div", { class: "pp-scroll" }, rows)].filter(Boolean);
}
