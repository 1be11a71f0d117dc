// The preview of a plan: a grid that asks the kernel for the rows in sight, and never holds more.
import { button, calm, copy, h, open, visible, widget } from "./kit.js";
import { chipsOf, filtersOf, footOf, problemList } from "./plan_bars.js";
import { makeColumns } from "./plan_columns.js";
import { columnsMenu, columnMenu, filterWords } from "./plan_menus.js";
import { rowPanel } from "./plan_panel.js";
import { cellId, drawHead, drawRow } from "./plan_rows.js";

const ROW = 28, HEAD = 76, LOW_HEAD = 48, MOST_ROWS = 12, AHEAD = 4;
const MOST_PX = 30_000_000; // Chromium cuts an element at 33,554,428 px: beyond, page by fraction
const NO_FILTER = { actions: [], rule: "", text: "", columns: {} };

/** Show the preview of a plan in `el`; return what ends it. */
export function renderPlan({ model, el }) {
  const talk = open(model, el, "Preview of a plan");
  const { root, ask } = talk;
  const uid = `ps${Math.random().toString(36).slice(2, 8)}`;
  const pictures = new Map();
  let plan = null, columns = null, state = { n_shown: 0, lost: [], filter: NO_FILTER, sorted_by: null, version: 0 };
  let page = { start: 0, rows: [], names: [] };
  let first = 0, asked = "", isAsking = false, isStale = false, isSteered = false;
  let cursor = { place: 0, column: 0 }, anchor = null, openAt = null, listed = "";

  // --- the frame ---
  const title = h("span", { class: "ps-title" });
  const unchanged = h("input", { type: "checkbox", checked: true, onchange: () => box.classList.toggle("pp-quiet", !unchanged.checked) });
  const quiet = h("label", { class: "pp-toggle" }, unchanged, "Unchanged values");
  const columnsButton = button("Columns", () => showColumns(), { "aria-haspopup": "dialog" });
  const code = button("Copy as code", () => ask("code", {}, (answer) => copy(answer.code, code)));
  const chips = h("div", { class: "ps-bar pp-chips", role: "group", "aria-label": "Filter by action and problem" });
  const search = h("input", { class: "ps-input pp-search", type: "search", placeholder: "Search ids and texts", "aria-label": "Search ids and texts" });
  const jump = h("input", { class: "ps-input pp-jump", type: "text", placeholder: "Go to id", "aria-label": "Go to id, press Enter" });
  const filters = h("div", { class: "ps-bar pp-filters", hidden: true, role: "group", "aria-label": "Filters in force" });
  const head = h("div", { class: "pp-head", role: "row", "aria-rowindex": 1 });
  const pad = h("div", { class: "pp-pad", role: "presentation" });
  const box = h("div", { class: "pp-box", role: "grid", tabIndex: 0, "aria-label": "Rows of the plan", "aria-multiselectable": "true" }, head, pad);
  const empty = h("p", { class: "pp-empty", hidden: true });
  const problems = h("div", { class: "pp-problems", hidden: true });
  const panel = h("aside", { class: "pp-panel", hidden: true, "aria-label": "The row, whole" });
  const lost = h("div", { role: "status" });
  const body = h("div", { class: "pp-body" }, h("div", { class: "pp-grid" }, box, empty, problems), panel);
  const foot = h("div", { class: "ps-bar pp-foot", role: "status" });
  const menu = h("div", { class: "ps-pop pp-menu", hidden: true, role: "dialog" });
  root.dataset.keys = "a";
  root.classList.add("pp");
  root.append(
    h("div", { class: "ps-bar" }, title, h("span", { class: "ps-push" }), quiet, columnsButton, code),
    h("div", { class: "ps-bar pp-tools" }, chips, h("span", { class: "pp-fill" }), search, jump),
    filters, body, foot, menu);

  // --- which rows are in sight ---
  const inSight = () => Math.max(1, Math.floor((box.clientHeight - head.offsetHeight) / ROW));
  const lastFirst = () => Math.max(0, state.n_shown - inSight());
  const isBig = () => state.n_shown * ROW > MOST_PX;
  const reach = () => Math.max(1, box.scrollHeight - box.clientHeight);
  const within = (place) => Math.max(0, Math.min(lastFirst(), place));
  const firstInSight = () => within(isBig() ? Math.round((box.scrollTop / reach()) * lastFirst()) : Math.floor(box.scrollTop / ROW));
  const steerTo = (place) => { // put a place at the top; the scroll event that follows says nothing new
    const was = box.scrollTop;
    first = within(place);
    box.scrollTop = isBig() ? (first / Math.max(1, lastFirst())) * reach() : first * ROW;
    isSteered = box.scrollTop !== was;
  };
  const bring = (place) => { // bring a place into sight, and say whether anything moved for it
    const fits = inSight();
    const target = place < first ? place : place >= first + fits ? place - fits + 1 : first;
    if (target === first) return false;
    steerTo(target);
    return true;
  };

  // --- rows, from the kernel ---
  const wantedRows = () => {
    const { pinned, moving } = columns.layout();
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
  const filter = (part) => { showProblems(""); act("filter", { filter: { ...state.filter, ...part } }); };

  // --- drawing ---
  const look = () => ({ uid, columns, names: page.names, cursor, openAt, layout: columns.layout() });
  function draw() {
    const now = look();
    pad.style.height = `${Math.min(state.n_shown * ROW, MOST_PX)}px`;
    pad.style.width = head.style.width = `${Math.max(now.layout.width, box.clientWidth)}px`;
    const top = isBig() ? Math.min(box.scrollTop + (page.start - first) * ROW, MOST_PX - page.rows.length * ROW) : page.start * ROW;
    redrawHead(now);
    pad.replaceChildren(...page.rows.map((row, at) => drawRow(row, page.start + at, top + at * ROW, now)));
    box.setAttribute("aria-rowcount", state.n_shown + 1);
    box.setAttribute("aria-colcount", now.layout.n + 2);
    const active = document.getElementById(cellId(uid, cursor.place, cursor.column));
    if (active) box.setAttribute("aria-activedescendant", active.id); else box.removeAttribute("aria-activedescendant");
    drawBars();
    askPictures(now.layout);
  }
  function redrawHead(now) {
    const held = document.activeElement?.closest(".pp-head") === head ? document.activeElement.dataset.focus : "";
    head.replaceChildren(...drawHead(now, state, plan.kind, pictures, { all: (on) => act("all", { on }), sort: sortBy, menu: showMenu }));
    if (held) [...head.querySelectorAll("[data-focus]")].find((node) => node.dataset.focus === held)?.focus({ preventScroll: true });
  }
  function drawBars() {
    if (lost.dataset.told !== state.lost.join()) { // said once: a status is read aloud
      lost.dataset.told = state.lost.join();
      lost.replaceChildren(...state.lost.map((text) => sentence(text, "✕ ", "ps-bad")));
    }
    const isFiltered = state.filter.rule || filterWords(state.filter).some(({ isChip }) => !isChip); // a pressed chip says it already
    empty.hidden = state.n_shown > 0 || !!listed;
    empty.textContent = plan.n === 0 ? plan.is_held ? "Nothing would change: Pendo holds these values already." : "Nothing is left to send." : "No row fits the filters.";
    const pressed = document.activeElement?.closest(".pp-chips") === chips ? document.activeElement.dataset.chip : "";
    chips.replaceChildren(...chipsOf(plan, { ...state.filter, rule: listed || state.filter.rule }, { action: toggleAction, problem: pickProblem }));
    if (pressed) [...chips.children].find((node) => node.dataset.chip === pressed)?.focus({ preventScroll: true });
    filters.hidden = !isFiltered;
    filters.replaceChildren(...filtersOf(state.filter, { filter, list: showProblems, clear: () => { search.value = ""; filter(NO_FILTER); } }));
    foot.replaceChildren(...footOf(plan, state, first + 1, listed ? 0 : Math.min(state.n_shown, first + inSight())));
  }
  const askPictures = calm(({ pinned, moving }) => { // one at a time: a scroll waits for no more than one
    const next = [...pinned, ...moving].find((column) => column.is_field && !pictures.has(column.name));
    if (next && plan.n) ask("pictures", { names: [next.name] }, (answer) => {
      pictures.set(next.name, answer.pictures[next.name]);
      const now = look();
      redrawHead(now);
      askPictures(now.layout);
    });
  }, 120);

  // --- what is done ---
  const sortBy = (name) => {
    const [by, isDown] = state.sorted_by ?? [null, false];
    act("sort", by !== name ? { name, down: false } : isDown ? { name: "", down: false } : { name, down: true });
  };
  const toggleAction = (action) => {
    const { actions } = state.filter;
    filter({ actions: actions.includes(action) ? actions.filter((one) => one !== action) : [...actions, action] });
  };
  const pickProblem = (problem) => {
    const isOn = problem.rule === (listed || state.filter.rule);
    if (problem.is_warning && problem.has_ids && !isOn && !listed) return filter({ rule: problem.rule });
    if (state.filter.rule) filter({ rule: "" });
    showProblems(isOn ? "" : problem.rule);
    return drawBars();
  };
  function showProblems(rule) {
    listed = rule;
    problems.hidden = !rule;
    box.hidden = !!rule;
    if (!rule) return;
    const turn = (start, then) => ask("problems", { rule, start, n: 100 }, then);
    problems.replaceChildren(...problemList(plan.problems.find((problem) => problem.rule === rule), turn, () => { showProblems(""); draw(); box.focus(); }));
    drawBars();
  }
  function showPanel(at) {
    openAt = at;
    panel.hidden = at === null;
    if (at === null) return draw();
    return ask("row", { at }, (answer) => {
      panel.replaceChildren(...rowPanel(answer, plan.is_held, closePanel));
      draw();
    }, () => showPanel(null));
  }
  const closePanel = () => { showPanel(null); box.focus(); };

  // --- menus ---
  let opener = null;
  const hideMenu = () => {
    menu.hidden = true;
    root.style.minHeight = "";
  };
  const closeMenu = () => {
    if (menu.hidden) return;
    hideMenu();
    const name = opener?.dataset.focus;
    ([...head.querySelectorAll("[data-focus]")].find((node) => name && node.dataset.focus === name) ?? opener)?.focus({ preventScroll: true });
  };
  const openMenu = (from, label, children) => {
    opener = from;
    menu.setAttribute("aria-label", label);
    menu.replaceChildren(...children);
    menu.hidden = false;
    const to = from.getBoundingClientRect(), frame = root.getBoundingClientRect(), below = to.bottom - frame.top + 4;
    menu.style.left = `${Math.max(4, Math.min(to.left - frame.left, root.clientWidth - menu.offsetWidth - 4))}px`;
    menu.style.top = `${below}px`;
    root.style.minHeight = `${below + menu.offsetHeight + 8}px`; // nothing of it may be cut off
    menu.querySelector("button, input, select")?.focus();
  };
  const relay = () => { draw(); refresh(); };
  const showColumns = () => openMenu(columnsButton, "Columns", columnsMenu(plan.columns, columns.hidden, relay));
  function showMenu(name, from) {
    const column = name === "id" ? { name, kind: "text", is_field: false, is_id: true } : columns.byName(name);
    const { [name]: asks = {}, ...others } = state.filter.columns;
    const show = (choices) => openMenu(from, `Column ${visible(name)}`, columnMenu(column, choices, asks, columns.isPinned(name), {
      set: (wanted) => filter({ columns: wanted ? { ...others, [name]: wanted } : others }),
      sort: (down) => { act("sort", { name, down }); closeMenu(); },
      pin: () => { columns.pin(name); closeMenu(); relay(); },
      hide: () => { columns.hidden.add(name); opener = columnsButton; closeMenu(); relay(); },
      widen: (by) => { columns.widen(name, by); relay(); },
    }));
    if (column.is_id) show({ top: [], n_nulls: 0 }); else ask("column", { name }, show);
  }
  const onOutside = (event) => {
    if (!menu.hidden && !menu.contains(event.target) && !opener?.contains(event.target)) hideMenu();
  };
  document.addEventListener("pointerdown", onOutside, true);

  // --- the mouse and the keys ---
  const tick = (place, isRange) => {
    const row = page.rows[place - page.start];
    if (!row) return;
    if (isRange && anchor !== null) act("range", { first: anchor, last: place, on: !row[1] });
    else act("tick", { place, on: !row[1] });
    anchor = place;
  };
  const move = (place, column = cursor.column) => {
    const to = Math.max(0, Math.min(state.n_shown - 1, place));
    cursor = { place: to, column: Math.max(0, Math.min(columns.layout().n + 1, column)) };
    columns.reveal(cursor.column);
    if (bring(to)) refresh(); else draw();
  };
  const onCell = (event) => {
    const row = event.target.closest(".pp-row"), cell = event.target.closest("[id]");
    if (!row) return;
    cursor = { place: Number(row.dataset.place), column: cell ? Number(cell.id.split("-").pop()) : 1 };
    if (event.target.closest(".pp-tick")) tick(cursor.place, event.shiftKey);
    else showPanel(Number(row.dataset.at));
    box.focus({ preventScroll: true });
  };
  const onKey = (event) => {
    const { key } = event, fits = inSight(), isCommand = event.ctrlKey || event.metaKey;
    if (event.target !== box || !plan) return;
    const does = isCommand ? {
      Home: () => move(0), End: () => move(state.n_shown - 1), a: () => act("all", { on: true }),
    } : {
      ArrowDown: () => move(cursor.place + 1), ArrowUp: () => move(cursor.place - 1),
      ArrowRight: () => move(cursor.place, cursor.column + 1), ArrowLeft: () => move(cursor.place, cursor.column - 1),
      PageDown: () => move(cursor.place + fits), PageUp: () => move(cursor.place - fits),
      Home: () => move(cursor.place, 0), End: () => move(cursor.place, Infinity),
      " ": () => tick(cursor.place, event.shiftKey), Enter: () => showPanel(page.rows[cursor.place - page.start]?.[0] ?? null),
      "/": () => search.focus(),
    };
    if (!does[key]) return;
    does[key]();
    event.preventDefault();
  };
  const onEscape = (event) => {
    if (event.key !== "Escape" || (menu.hidden && panel.hidden)) return;
    if (menu.hidden) closePanel(); else closeMenu();
    event.preventDefault();
    event.stopPropagation();
  };
  const goTo = (event) => {
    const id = jump.value.trim();
    if (event.key !== "Enter" || !id) return;
    showProblems("");
    const { n, columns: names } = wantedRows();
    ask("find", { id, before: AHEAD + 2, n, columns: names }, (answer) => {
      take(answer, names);
      steerTo(answer.place - 2);
      asked = JSON.stringify(wantedRows());
      cursor = { place: answer.place, column: 1 };
      draw();
      box.focus({ preventScroll: true });
    });
  };
  let isDue = false;
  const onScroll = () => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      if (isSteered) isSteered = false; else first = firstInSight();
      refresh();
    });
  };
  pad.addEventListener("click", onCell);
  box.addEventListener("keydown", onKey);
  box.addEventListener("scroll", onScroll, { passive: true });
  root.addEventListener("keydown", onEscape);
  search.addEventListener("input", calm(() => filter({ text: search.value.trim() }), 180));
  jump.addEventListener("keydown", goTo);

  // --- beginning, others, the end ---
  talk.hear("moved", calm(({ version }) => { if (plan && version > state.version) { asked = ""; refresh(); } }, 50));
  const size = new ResizeObserver(() => { if (state.cost) relay(); });
  const sentence = (text, sign = "", tone = "ps-muted") => h("p", { class: `pp-note ${tone}` }, sign, visible(text));
  ask("open", {}, (answer) => {
    plan = answer;
    columns = makeColumns(plan, box);
    title.textContent = visible(plan.title);
    if (!plan.is_held) quiet.remove(); // a message has none
    body.before(...plan.held.map((text) => sentence(text, "△ Held back: ", "ps-warn")), ...plan.notes.map((text) => sentence(text)), lost);
    const tall = plan.columns.some((column) => column.is_field) ? HEAD : LOW_HEAD; // only fields have a picture
    head.style.height = `${tall}px`;
    box.style.minHeight = `${tall + ROW * Math.max(3, Math.min(MOST_ROWS, plan.n)) + 14}px`;
    refresh();
    size.observe(box);
  });
  return () => {
    size.disconnect();
    document.removeEventListener("pointerdown", onOutside, true);
    talk.close();
  };
}

export default widget(renderPlan);
