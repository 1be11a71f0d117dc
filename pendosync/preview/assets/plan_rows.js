// The rows of a preview and their head, drawn from what the kernel told.
import { h, value, visible } from "./kit.js";
import { TICK_WIDTH } from "./plan_columns.js";
import { fieldPicture } from "./plan_panel.js";

const MARKS = { n: "new", c: "changed", x: "cleared", s: "said" };
const DEEDS = { create: "new", skip: "skip", remove: "remove", delete: "delete" };

/** Return the id of the element of a cell. */
export const cellId = (uid, place, column) => `${uid}-${place}-${column}`;

/** Return a row: `[position, is selected, action, id, cells]` at a place of the view. */
export function drawRow([at, isOn, action, id, cells], place, top, look) {
  const { uid, columns, names, cursor, openAt, layout } = look;
  const { pinned, moving, skipped, before } = layout;
  const marked = (node, number) => {
    if (cursor.place === place && cursor.column === number) node.classList.add("pp-cursor");
    return node;
  };
  const cell = (column, number) => marked(drawCell(column, cells[names.indexOf(column.name)] ?? ["", null], {
    id: cellId(uid, place, number), "aria-colindex": number + 1, style: `width:${columns.widthOf(column)}px` }), number);
  const tick = h("div", { class: "pp-cell pp-tick", role: "gridcell", id: cellId(uid, place, 0), "aria-colindex": 1, style: `width:${TICK_WIDTH}px` },
    id === null ? null : h("input", { type: "checkbox", checked: isOn, tabIndex: -1, "aria-label": `Select ${visible(id)}` }));
  const named = h("div", { class: "pp-cell pp-id ps-mono", role: "rowheader", id: cellId(uid, place, 1), "aria-colindex": 2, title: id === null ? "" : visible(id), style: `width:${columns.idWidth()}px` },
    id === null ? h("i", { class: "pp-mark" }, "can't be read") : value(id), DEEDS[action] ? h("span", { class: "pp-mark" }, ` ${DEEDS[action]}`) : null);
  const fixed = h("div", { class: "pp-fixed", role: "presentation" }, marked(tick, 0), marked(named, 1), pinned.map((column, index) => cell(column, index + 2)));
  return h("div", {
    class: `pp-row ${isOn ? "pp-on" : ""} ${openAt === at ? "pp-open" : ""} ${action === "skip" || id === null ? "pp-skipped" : ""}`, role: "row", style: `top:${top}px`,
    "aria-rowindex": place + 2, "aria-selected": isOn, "data-place": place, "data-at": at,
  }, fixed, h("div", { class: "pp-skip", role: "presentation", style: `width:${before}px` }),
  moving.map((column, index) => cell(column, index + 2 + pinned.length + skipped)));
}

function drawCell(column, [mark, after, was], props) {
  const words = (text) => (text === null || text === undefined ? "nothing" : visible(text));
  const node = h("div", {
    class: `pp-cell ${mark ? `pp-${MARKS[mark]}` : column.about ? "pp-about" : "pp-same"} ${column.kind === "number" ? "ps-number" : ""}`, role: "gridcell",
    title: mark && mark !== "s" ? `${words(was)} → ${words(after)}` : after === null ? "" : visible(after), ...props,
  });
  if (mark === "n") node.append(h("span", { class: "pp-mark" }, "new"), " ");
  if (mark === "c" || mark === "x") node.append(h("s", {}, value(was)), " ");
  if (mark === "x") node.append(h("span", { class: "pp-mark" }, "cleared"));
  else if (after !== null) node.append(mark ? h("b", {}, value(after)) : value(after));
  return node;
}

/** Return what the head holds; `does` says what its controls do: `all`, `sort`, `menu`. */
export function drawHead(look, state, kind, pictures, does) {
  const { columns, layout } = look;
  const { pinned, moving, skipped, before } = layout;
  const all = h("input", { type: "checkbox", "aria-label": "Select all rows shown", "data-focus": "all", onclick: () => does.all(all.checked) });
  all.checked = state.n_shown > 0 && state.n_selected_here === state.n_readable;
  all.indeterminate = state.n_selected_here > 0 && !all.checked;
  all.disabled = state.n_shown === 0;
  const heading = (name, column, number, width) => {
    const [by, isDown] = state.sorted_by ?? [null, false], isSorted = by === name;
    return h("div", {
      class: `pp-cell pp-heading ${column?.kind === "number" ? "ps-number" : ""} ${state.filter.columns[name] ? "pp-filtered" : ""}`,
      role: "columnheader", "aria-colindex": number + 1, "aria-sort": isSorted ? (isDown ? "descending" : "ascending") : "none", style: `width:${width}px`,
    },
    h("div", { class: "pp-name" },
      h("button", { type: "button", class: "pp-sort ps-cut", "data-focus": `sort ${name}`, title: `${visible(name)}: sort`, onclick: () => does.sort(name) }, column ? value(name) : name, isSorted ? (isDown ? " ↓" : " ↑") : ""),
      h("button", { type: "button", class: "pp-more", "data-focus": `menu ${name}`, "aria-label": `Sort, filter, pin or hide ${visible(name)}`, "aria-haspopup": "dialog", onclick: (event) => does.menu(name, event.currentTarget) }, "⋮")),
    column?.is_field ? fieldPicture(column, pictures.get(name)) : h("div", { class: "ps-muted pp-sub" }, column ? column.about || "kept to filter on" : kind));
  };
  const of = (column, number) => heading(column.name, column, number, columns.widthOf(column));
  return [
    h("div", { class: "pp-fixed", role: "presentation" },
      h("div", { class: "pp-cell pp-tick", role: "columnheader", "aria-colindex": 1, style: `width:${TICK_WIDTH}px` }, all),
      heading("id", null, 1, columns.idWidth()), pinned.map((column, index) => of(column, index + 2))),
    h("div", { class: "pp-skip", role: "presentation", style: `width:${before}px` }),
    ...moving.map((column, index) => of(column, index + 2 + pinned.length + skipped)),
  ];
}
