// The preview of a plan: a grid that asks the kernel for the rows in sight, and never holds more.
import { button, calm, copy, count, h, open, value, visible } from "./kit.js";
import { columnsMenu, columnMenu, filterWords } from "./plan_menus.js";
import { fieldPicture, rowPanel } from "./plan_panel.js";

const ROW = 28, HEAD = 76, MOST_PX = 30_000_000; // Chromium cuts an element at 33,554,428 px: beyond, page by fraction
const AHEAD = 4, ID_WIDTH = 190, TICK_WIDTH = 36, MOST_STRETCH = 1.7;
const MARKS = { n: "new", c: "changed", x: "cleared" };

/** Show the preview of a plan in `el`; return what ends it. */
export function renderPlan({ model, el }) {
  const talk = open(model, el, "Preview of a plan");
  const { root, ask, say } = talk;
  const uid = `ps${Math.random().toString(36).slice(2, 8)}`;
  let plan = null, state = { n_shown: 0, filter: { actions: [], rule: "", text: "", columns: {} }, sorted_by: null, version: 0 };
  let page = { start: 0, rows: [], names: [] };
  let first = 0, asked = "", isAsking = false, isStale = false, isSteered = false;
  let cursor = { place: 0, column: 0 }, anchor = null, panelAt = null, problemRule = "";
  const look = { hidden: new Set(), pinned: [], widths: new Map(), unchanged: true, stretch: 1 };
  const pictures = new Map();

  // --- the frame ---
  const title = h("span", { class: "ps-title" });
  const chips = h("div", { class: "ps-bar pp-chips", role: "group", "aria-label": "Filter by action and problem" });
  const search = h("input", { class: "ps-input pp-search", type: "search", placeholder: "Search ids and texts", "aria-label": "Search ids and texts" });
  const jump = h("input", { class: "ps-input pp-jump", type: "text", placeholder: "Go to id", "aria-label": "Go to id, press Enter" });
  const columnsButton = button("Columns", () => showColumns(), { "aria-haspopup": "dialog" });
  const unchanged = h("input", { type: "checkbox", checked: true, onchange: () => { look.unchanged = unchanged.checked; box.classList.toggle("pp-quiet", !look.unchanged); } });
  const code = button("Copy as code", () => ask("code", {}, (answer) => copy(answer.code, code)));
  const filters = h("div", { class: "ps-bar pp-filters", hidden: true, role: "group", "aria-label": "Filters in force" });
  const head = h("div", { class: "pp-head", role: "row", "aria-rowindex": 1 });
  const pad = h("div", { class: "pp-pad", role: "presentation" });
  const box = h("div", { class: "pp-box", role: "grid", tabIndex: 0, "aria-label": "Rows of the plan", "aria-multiselectable": "true" }, head, pad);
  const empty = h("p", { class: "pp-empty", hidden: true });
  const panel = h("aside", { class: "pp-panel", hidden: true, "aria-label": "The row, whole" });
  const problems = h("div", { class: "pp-problems", hidden: true });
  const foot = h("div", { class: "ps-bar pp-foot", role: "status" });
  const menu = h("div", { class: "ps-pop pp-menu", hidden: true, role: "dialog" });
  const body = h("div", { class: "pp-body" }, h("div", { class: "pp-grid" }, box, empty, problems), panel);
  root.dataset.keys = "a";
  root.classList.add("pp");
  root.append(
    h("div", { class: "ps-bar" }, title, h("label", { class: "pp-toggle ps-push" }, unchanged, "Unchanged values"), columnsButton, code),
    h("div", { class: "ps-bar pp-tools" }, chips, h("span", { class: "pp-fill" }), search, jump),
    filters, body, foot, menu);

  // --- columns ---
  const byName = (name) => plan.columns.find((column) => column.name === name);
  const shownColumns = () => {
    const shown = plan.columns.filter((column) => !look.hidden.has(column.name));
    const pinned = look.pinned.map(byName).filter((column) => column && shown.includes(column));
    return [...pinned, ...shown.filter((column) => !pinned.includes(column))];
  };
  const nPinned = () => look.pinned.filter((name) => byName(name) && !look.hidden.has(name)).length;
  const widthOf = (column) => Math.round(look.widths.get(column.name) * look.stretch);
  const layout = () => {
    const columns = shownColumns(), pinned = nPinned();
    const own = columns.reduce((sum, column) => sum + look.widths.get(column.name), 0);
    look.stretch = Math.min(MOST_STRETCH, Math.max(1, (box.clientWidth - TICK_WIDTH - ID_WIDTH - columns.length) / own));
    const fixed = TICK_WIDTH + ID_WIDTH + columns.slice(0, pinned).reduce((sum, column) => sum + widthOf(column), 0);
    const moving = columns.slice(pinned), sight = box.clientWidth - fixed;
    let left = 0, from = 0, to = moving.length, before = 0;
    moving.forEach((column, at) => {
      if (left + widthOf(column) <= box.scrollLeft) { from = at + 1; before = left + widthOf(column); }
      if (left < box.scrollLeft + Math.max(sight, 200)) to = at + 1;
      left += widthOf(column);
    });
    from = Math.min(from, Math.max(0, moving.length - 1));
    if (from < moving.length) before = moving.slice(0, from).reduce((sum, column) => sum + widthOf(column), 0);
    return { pinned: columns.slice(0, pinned), moving: moving.slice(from, to), skipped: from, before, width: fixed + left, all: columns };
  };
  const fit = ({ name, letters, is_field }) => look.widths.set(name, Math.round(Math.min(320, Math.max(is_field ? 148 : 96, name.length * 7.4 + 44, letters * 7.2 + 24))));

  // --- rows ---
  const inSight = () => Math.max(1, Math.floor((box.clientHeight - HEAD) / ROW));
  const lastFirst = () => Math.max(0, state.n_shown - inSight());
  const isBig = () => state.n_shown * ROW > MOST_PX;
  const firstInSight = () => {
    const reach = box.scrollHeight - box.clientHeight;
    const at = isBig() ? Math.round((box.scrollTop / Math.max(1, reach)) * lastFirst()) : Math.floor(box.scrollTop / ROW);
    return Math.max(0, Math.min(lastFirst(), at));
  };
  const steer = (place) => { // bring a place into sight
    const fits = inSight();
    const target = place < first ? place : place >= first + fits ? place - fits + 1 : first;
    if (target === first) return false;
    steerTo(target);
    return true;
  };
  const steerTo = (place) => { // put a place at the top; the scroll event that follows says nothing new
    const was = box.scrollTop;
    first = Math.max(0, Math.min(lastFirst(), place));
    box.scrollTop = isBig() ? (first / Math.max(1, lastFirst())) * (box.scrollHeight - box.clientHeight) : first * ROW;
    isSteered = box.scrollTop !== was;
  };
  const wantedRows = () => {
    const { pinned, moving } = layout();
    return { start: Math.max(0, first - AHEAD), n: inSight() + 2 * AHEAD + 1, columns: [...pinned, ...moving].map((column) => column.name) };
  };
  const take = (answer, names) => {
    state = answer;
    page = { start: answer.start, rows: answer.rows, names };
  };
  const refresh = (act) => {
    if (!plan) return;
    const args = wantedRows(), isNew = act?.what === "filter" || act?.what === "sort";
    if (isNew) args.start = 0;
    const wanted = JSON.stringify(args);
    if (!act && wanted === asked) { // they are here, or on their way
      if (isBig() && !isAsking) draw(); // where the scroll bar is a fraction, rows go with it
      return;
    }
    if (!act && isAsking) { isStale = true; return; }
    isAsking = true;
    asked = wanted;
    if (act) args.do = act;
    ask("rows", args, (answer) => {
      isAsking = false;
      take(answer, args.columns);
      if (isNew) { first = 0; box.scrollTop = 0; cursor.place = 0; anchor = null; }
      cursor.place = Math.max(0, Math.min(cursor.place, state.n_shown - 1));
      draw();
      if (isStale) { isStale = false; refresh(); }
    }, () => { isAsking = false; asked = ""; });
  };
  const act = (what, args = {}) => refresh({ what, ...args });

  function draw() {
    const { pinned, moving, skipped, before, width, all } = layout();
    pad.style.height = `${Math.min(state.n_shown * ROW, MOST_PX)}px`;
    pad.style.width = head.style.width = `${Math.max(width, box.clientWidth)}px`;
    const top = isBig() ? Math.min(box.scrollTop + (page.start - first) * ROW, MOST_PX - page.rows.length * ROW) : page.start * ROW;
    drawHead(pinned, moving, skipped, before);
    pad.replaceChildren(...page.rows.map((row, at) => drawRow(row, page.start + at, top + at * ROW, { pinned, moving, skipped, before })));
    box.setAttribute("aria-rowcount", state.n_shown + 1);
    box.setAttribute("aria-colcount", all.length + 2);
    const active = document.getElementById(cellId(cursor.place, cursor.column));
    if (active) box.setAttribute("aria-activedescendant", active.id); else box.removeAttribute("aria-activedescendant");
    drawEmpty();
    drawChips();
    drawFilters();
    drawFoot();
    askPictures([...pinned, ...moving]);
  }

  const cellId = (place, column) => `${uid}-${place}-${column}`;

  function drawRow([at, isOn, action, id, cells], place, top, { pinned, moving, skipped, before }) {
    const cell = (column, number, index) => {
      const found = page.names.indexOf(column.name);
      const [mark, after, was] = (found >= 0 && cells[found]) || ["", null];
      const node = h("div", {
        class: `pp-cell ${mark ? `pp-${MARKS[mark]}` : "pp-same"} ${column.kind === "number" ? "ps-number" : ""}`,
        role: "gridcell", id: cellId(place, number), "aria-colindex": number + 1, style: `width:${widthOf(column)}px`,
        title: mark ? `${was === undefined || was === null ? "nothing" : visible(was)} → ${after === null ? "nothing" : visible(after)}` : after === null ? "" : visible(after),
      });
      if (mark === "n") node.append(h("span", { class: "pp-mark" }, "new"), " ");
      if (mark === "c" || mark === "x") node.append(h("s", {}, value(was)), " ");
      if (mark === "x") node.append(h("span", { class: "pp-mark" }, "cleared"));
      else if (after !== null) node.append(mark ? h("b", {}, value(after)) : value(after));
      if (cursor.place === place && cursor.column === number) node.classList.add("pp-cursor");
      return node;
    };
    const tick = h("input", { type: "checkbox", checked: isOn, tabIndex: -1, "aria-label": `Select ${visible(id)}` });
    const tickCell = h("div", { class: "pp-cell pp-tick", role: "gridcell", id: cellId(place, 0), "aria-colindex": 1 }, tick);
    const idCell = h("div", { class: "pp-cell pp-id ps-mono", role: "rowheader", id: cellId(place, 1), "aria-colindex": 2, title: visible(id) },
      value(id), action === "create" ? h("span", { class: "pp-mark" }, " new") : null);
    for (const [node, number] of [[tickCell, 0], [idCell, 1]]) if (cursor.place === place && cursor.column === number) node.classList.add("pp-cursor");
    const fixed = h("div", { class: "pp-fixed", role: "presentation" }, tickCell, idCell, pinned.map((column, index) => cell(column, index + 2)));
    return h("div", {
      class: `pp-row ${isOn ? "pp-on" : ""} ${panelAt === at ? "pp-open" : ""}`, role: "row", style: `top:${top}px`,
      "aria-rowindex": place + 2, "aria-selected": isOn, "data-place": place, "data-at": at,
    }, fixed, h("div", { class: "pp-skip", role: "presentation", style: `width:${before}px` }), moving.map((column, index) => cell(column, index + 2 + pinned.length + skipped)));
  }

  function drawHead(pinned, moving, skipped, before) {
    const focused = root.contains(document.activeElement) ? document.activeElement?.dataset?.focus : null;
    const all = h("input", { type: "checkbox", "aria-label": "Select all rows shown", "data-focus": "all", onclick: () => act("all", { on: all.checked }) });
    all.checked = state.n_shown > 0 && state.n_selected_here === state.n_shown;
    all.indeterminate = state.n_selected_here > 0 && !all.checked;
    all.disabled = state.n_shown === 0;
    const sign = (name) => state.sorted_by?.[0] === name ? (state.sorted_by[1] ? " ↓" : " ↑") : "";
    const order = (name) => state.sorted_by?.[0] === name ? (state.sorted_by[1] ? "descending" : "ascending") : "none";
    const sort = (name) => {
      const [by, down] = state.sorted_by ?? [null, false];
      act("sort", by !== name ? { name, down: false } : down ? { name: "", down: false } : { name, down: true });
    };
    const heading = (name, column, number, width) => h("div", {
      class: `pp-cell pp-heading ${column?.kind === "number" ? "ps-number" : ""} ${state.filter.columns[name] ? "pp-filtered" : ""}`,
      role: "columnheader", "aria-colindex": number + 1, "aria-sort": order(name), style: `width:${width}px`,
    },
    h("div", { class: "pp-name" },
      h("button", { type: "button", class: "pp-sort ps-cut", "data-focus": `sort ${name}`, title: `${visible(name)}: sort`, onclick: () => sort(name) }, column ? value(name) : name, sign(name)),
      h("button", { type: "button", class: "pp-more", "data-focus": `menu ${name}`, "aria-label": `Sort, filter, pin or hide ${visible(name)}`, "aria-haspopup": "dialog", onclick: (event) => showMenu(name, event.currentTarget) }, "⋮")),
    column?.is_field ? fieldPicture(column, pictures.get(name)) : h("div", { class: "ps-muted pp-sub" }, column ? "kept to filter on" : plan.kind));
    head.replaceChildren(
      h("div", { class: "pp-fixed", role: "presentation" },
        h("div", { class: "pp-cell pp-tick", role: "columnheader", "aria-colindex": 1 }, all),
        heading("id", null, 1, ID_WIDTH), pinned.map((column, index) => heading(column.name, column, index + 2, widthOf(column)))),
      h("div", { class: "pp-skip", role: "presentation", style: `width:${before}px` }),
      ...moving.map((column, index) => heading(column.name, column, index + 2 + pinned.length + skipped, widthOf(column))));
    if (focused) [...head.querySelectorAll("[data-focus]")].find((node) => node.dataset.focus === focused)?.focus({ preventScroll: true });
  }

  function drawEmpty() {
    const isFiltered = filterWords(state.filter).length > 0;
    empty.hidden = state.n_shown > 0 || !!problemRule;
    empty.textContent = plan.n === 0 ? "Nothing would change: Pendo holds these values already." : isFiltered ? "No row fits the filters." : "";
  }

  function drawChips() {
    const toggle = (action) => {
      const on = state.filter.actions.includes(action);
      showProblems("");
      filter({ actions: on ? state.filter.actions.filter((one) => one !== action) : [...state.filter.actions, action] });
    };
    const sign = (problem) => h("span", { class: problem.is_warning ? "ps-warn" : "ps-bad", "aria-hidden": "true" }, problem.is_warning ? "△" : "✕");
    const pressed = document.activeElement?.dataset?.chip;
    chips.replaceChildren(
      ...plan.actions.map(([action, n]) => h("button", { type: "button", class: "ps-chip", "data-chip": action, "aria-pressed": state.filter.actions.includes(action), onclick: () => toggle(action) },
        h("span", { class: `pp-dot pp-dot-${action}`, "aria-hidden": "true" }), action, h("span", { class: "ps-muted" }, count(n)))),
      plan.n_unchanged === null ? "" : h("span", { class: "pp-still ps-muted" }, `unchanged ${count(plan.n_unchanged)}`),
      ...plan.problems.map((problem) => h("button", {
        type: "button", class: "ps-chip", "data-chip": problem.rule, title: problem.meaning,
        "aria-pressed": problem.rule === (problemRule || state.filter.rule), onclick: () => pickProblem(problem),
      }, sign(problem), problem.rule.replaceAll("_", " "), h("span", { class: "ps-muted" }, count(problem.n)))));
    if (pressed) [...chips.children].find((node) => node.dataset?.chip === pressed)?.focus({ preventScroll: true });
  }

  function drawFilters() {
    const words = filterWords(state.filter);
    filters.hidden = words.length === 0;
    filters.replaceChildren(
      ...words.map(({ text, without }) => h("button", { type: "button", class: "ps-chip", "aria-label": `Take away the filter ${text}`, onclick: () => filter(without) }, visible(text), h("span", { "aria-hidden": "true" }, "✕"))),
      state.filter.rule ? h("button", { type: "button", class: "ps-link", onclick: () => showProblems(state.filter.rule) }, "See each with its reason") : "",
      h("button", { type: "button", class: "ps-link", onclick: () => { search.value = ""; filter({ actions: [], rule: "", text: "", columns: {} }); } }, "Clear all"));
  }

  function drawFoot() {
    const here = state.n_shown === plan.n ? "" :
      ` · ${count(state.n_shown)} shown, ${state.n_selected_here === state.n_shown ? "all" : state.n_selected_here === 0 ? "none" : count(state.n_selected_here)} of them selected`;
    const last = Math.min(state.n_shown, first + inSight());
    const range = state.n_shown ? `rows ${count(first + 1)}–${count(last)} of ${count(state.n_shown)} · ` : "";
    foot.replaceChildren(h("b", {}, `${count(state.n_selected)} selected`), " ", h("span", { class: "ps-muted" }, `of ${count(plan.n, "id")}${here}`), " ",
      h("span", { class: "ps-push ps-muted" }, `${range}${state.cost}`));
  }

  const askPictures = calm((columns) => { // one at a time: a scroll waits for no more than one
    const next = columns.find((column) => column.is_field && !pictures.has(column.name));
    if (next && plan.n) ask("pictures", { names: [next.name] }, (answer) => {
      pictures.set(next.name, answer.pictures[next.name]);
      const { pinned, moving, skipped, before } = layout();
      drawHead(pinned, moving, skipped, before);
      askPictures([...pinned, ...moving]);
    });
  }, 120);

  // --- what is done ---
  const filter = (part) => { showProblems(""); act("filter", { filter: { ...state.filter, ...part } }); };
  const pickProblem = (problem) => {
    const isOn = problem.rule === (problemRule || state.filter.rule);
    if (problem.is_warning && problem.has_ids && !isOn && !problemRule) return filter({ rule: problem.rule });
    if (state.filter.rule) filter({ rule: "" });
    showProblems(isOn ? "" : problem.rule);
    return drawChips();
  };

  function showProblems(rule) {
    problemRule = rule;
    problems.hidden = !rule;
    box.hidden = !!rule;
    if (!rule || !plan) return;
    const known = plan.problems.find((problem) => problem.rule === rule);
    problems.replaceChildren(h("div", { class: "ps-bar" }, h("b", {}, rule.replaceAll("_", " ")), h("span", {}, known.meaning),
      button("Back to the rows", () => { showProblems(""); draw(); box.focus(); }, { class: "ps-btn ps-push" })));
    const list = h("tbody");
    const more = button("Show more", () => turn(list.children.length), { hidden: true });
    const turn = (start) => ask("problems", { rule, start, n: 100 }, (answer) => {
      list.append(...answer.rows.map(([id, row, field, n, reason]) => h("tr", {},
        h("td", { class: "ps-mono" }, id === null ? h("span", { class: "ps-muted" }, "whole column") : value(id)),
        h("td", { class: "ps-number" }, row === null ? count(n, "row") : count(row)),
        h("td", {}, field === null ? "" : value(field)), h("td", {}, value(reason)))));
      more.hidden = list.children.length >= answer.n;
    });
    problems.append(h("div", { class: "pp-list", tabIndex: 0, role: "region", "aria-label": "Problems" }, h("table", {}, h("thead", {}, h("tr", {}, ["id", "row of the table", "field", "reason"].map((name) => h("th", { scope: "col" }, name)))), list)), more);
    turn(0);
    drawEmpty();
  }

  function showPanel(at) {
    panelAt = at;
    if (at === null) {
      panel.hidden = true;
      root.classList.remove("pp-with-panel");
      draw();
      return;
    }
    ask("row", { at }, (answer) => {
      panel.hidden = false;
      root.classList.add("pp-with-panel");
      panel.replaceChildren(...rowPanel(answer, () => { showPanel(null); box.focus(); }));
      draw();
    });
  }

  // --- menus ---
  let opener = null;
  const closeMenu = () => {
    if (menu.hidden) return;
    menu.hidden = true;
    const name = opener?.dataset?.focus;
    ([...head.querySelectorAll("[data-focus]")].find((node) => name && node.dataset.focus === name) ?? opener)?.focus({ preventScroll: true });
  };
  const showAt = (anchorNode, label, children) => {
    opener = anchorNode;
    menu.setAttribute("aria-label", label);
    menu.replaceChildren(...children);
    menu.hidden = false;
    const to = anchorNode.getBoundingClientRect(), from = root.getBoundingClientRect();
    menu.style.left = `${Math.max(4, Math.min(to.left - from.left, root.clientWidth - menu.offsetWidth - 4))}px`;
    menu.style.top = `${to.bottom - from.top + 4}px`;
    menu.style.maxHeight = `${Math.max(180, root.clientHeight - (to.bottom - from.top) - 12)}px`;
    menu.querySelector("button, input, select")?.focus();
  };
  const showColumns = () => showAt(columnsButton, "Columns", columnsMenu(plan.columns, look, () => { draw(); refresh(); }));
  const showMenu = (name, anchorNode) => {
    const column = name === "id" ? { name: "id", kind: "text", is_field: false, is_id: true } : byName(name);
    const set = (asked) => {
      const { [name]: _, ...others } = state.filter.columns;
      filter({ columns: asked ? { ...others, [name]: asked } : others });
    };
    const show = (choices) => showAt(anchorNode, `Column ${visible(name)}`, columnMenu(column, choices, {
      asked: state.filter.columns[name] ?? {}, isPinned: look.pinned.includes(name), set,
      sort: (down) => { act("sort", { name, down }); closeMenu(); },
      pin: () => { look.pinned = look.pinned.includes(name) ? look.pinned.filter((one) => one !== name) : [...look.pinned, name]; closeMenu(); draw(); refresh(); },
      hide: () => { look.hidden.add(name); opener = columnsButton; closeMenu(); draw(); refresh(); },
      wider: (by) => { look.widths.set(name, Math.max(60, Math.min(640, widthOf(column) + by))); draw(); refresh(); },
    }));
    if (column.is_id) show({ top: [], n_nulls: 0 }); else ask("column", { name }, show);
  };
  const onOutside = (event) => {
    if (!menu.hidden && !menu.contains(event.target) && !opener?.contains(event.target)) menu.hidden = true;
  };
  document.addEventListener("pointerdown", onOutside, true);

  // --- the mouse and the keys ---
  const toggle = (place, isRange) => {
    const row = page.rows[place - page.start];
    if (!row) return;
    if (isRange && anchor !== null) act("range", { first: anchor, last: place, on: !row[1] });
    else act("tick", { place, on: !row[1] });
    anchor = place;
  };
  pad.addEventListener("click", (event) => {
    const row = event.target.closest(".pp-row");
    if (!row) return;
    const place = Number(row.dataset.place), cell = event.target.closest("[id]");
    cursor = { place, column: cell ? Number(cell.id.split("-").pop()) : 1 };
    if (event.target.closest(".pp-tick")) toggle(place, event.shiftKey);
    else showPanel(Number(row.dataset.at));
    box.focus({ preventScroll: true });
  });
  const move = (place, column = cursor.column) => {
    const to = Math.max(0, Math.min(state.n_shown - 1, place));
    cursor = { place: to, column: Math.max(0, Math.min(shownColumns().length + 1, column)) };
    reveal(cursor.column);
    if (steer(to)) refresh(); else draw();
  };
  const reveal = (number) => { // scroll sideways until a column is in sight
    const pinned = nPinned(), columns = shownColumns();
    if (number < 2 + pinned) return;
    const fixed = TICK_WIDTH + ID_WIDTH + columns.slice(0, pinned).reduce((sum, column) => sum + widthOf(column), 0);
    const left = columns.slice(pinned, number - 2).reduce((sum, column) => sum + widthOf(column), 0);
    const right = left + widthOf(columns[number - 2]), sight = box.clientWidth - fixed;
    if (left < box.scrollLeft) box.scrollLeft = left;
    else if (right > box.scrollLeft + sight) box.scrollLeft = right - sight;
  };
  box.addEventListener("keydown", (event) => {
    if (event.target !== box || !plan) return;
    const { key } = event, fits = inSight(), isCommand = event.ctrlKey || event.metaKey;
    const keys = {
      ArrowDown: () => move(cursor.place + 1), ArrowUp: () => move(cursor.place - 1),
      ArrowRight: () => move(cursor.place, cursor.column + 1), ArrowLeft: () => move(cursor.place, cursor.column - 1),
      PageDown: () => move(cursor.place + fits), PageUp: () => move(cursor.place - fits),
      Home: () => move(isCommand ? 0 : cursor.place, isCommand ? cursor.column : 0),
      End: () => move(isCommand ? state.n_shown - 1 : cursor.place, isCommand ? cursor.column : 1e6),
      " ": () => toggle(cursor.place, event.shiftKey),
      Enter: () => { const row = page.rows[cursor.place - page.start]; if (row) showPanel(row[0]); },
      "/": () => search.focus(),
    };
    const isAll = isCommand && key.toLowerCase() === "a";
    if (isAll) act("all", { on: true });
    else if (keys[key] && (!isCommand || key === "Home" || key === "End")) {
      if (event.shiftKey && key.startsWith("Arrow") && anchor === null) anchor = cursor.place;
      keys[key]();
    } else return;
    event.preventDefault();
  });
  root.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    if (!menu.hidden) closeMenu();
    else if (!panel.hidden) { showPanel(null); box.focus(); }
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  search.addEventListener("input", calm(() => filter({ text: search.value.trim() }), 180));
  jump.addEventListener("keydown", (event) => {
    const id = jump.value.trim();
    if (event.key !== "Enter" || !id) return;
    showProblems("");
    const { n, columns } = wantedRows();
    ask("find", { id, before: AHEAD + 2, n, columns }, (answer) => {
      take(answer, columns);
      steerTo(answer.place - 2);
      asked = JSON.stringify(wantedRows());
      cursor = { place: answer.place, column: 1 };
      draw();
      box.focus({ preventScroll: true });
    });
  });
  let isDue = false;
  box.addEventListener("scroll", () => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      if (isSteered) isSteered = false; else first = firstInSight();
      refresh();
    });
  }, { passive: true });

  // --- beginning, others, the end ---
  talk.hear("moved", calm(({ version }) => { if (plan && version > state.version) { asked = ""; refresh(); } }, 50));
  const size = new ResizeObserver(() => { if (state.cost) { draw(); refresh(); } });
  ask("open", {}, (answer) => {
    plan = answer;
    plan.columns.forEach(fit);
    title.textContent = visible(plan.title);
    for (const sentence of [...plan.held, ...plan.notes]) root.insertBefore(h("p", { class: `pp-note ${plan.held.includes(sentence) ? "ps-warn" : "ps-muted"}` }, plan.held.includes(sentence) ? "△ Held back: " : "", visible(sentence)), body);
    box.style.minHeight = `${HEAD + ROW * Math.max(3, Math.min(12, plan.n)) + 14}px`;
    refresh();
    size.observe(box);
  });
  return () => {
    size.disconnect();
    document.removeEventListener("pointerdown", onOutside, true);
    talk.close();
  };
}

export default { render: renderPlan };
