// The workbench: the tabs from a table to Pendo, in one frame.
import { button, copy, count, h, open, value, visible, widget } from "./kit.js";
import { renderMapping } from "./mapping.js";
import { renderPlan } from "./plan.js";
import { problemRow } from "./plan_bars.js";

const TABS = [["map", "Map"], ["check", "Check"], ["changes", "Changes"], ["requests", "Dry run"], ["push", "Push"]];
const SIGNS = { block_row: ["✕", "ps-bad", "row dropped"], block_field: ["✕", "ps-bad", "value or field dropped"], warn: ["△", "ps-warn", "warning"] };

function render({ model, el }) {
  const talk = open(model, el, "Workbench");
  const { root, hear } = talk;
  const ask = (name, args, then, failed) => talk.ask(name, { kind: state.kind, ...args }, then, failed);
  const uid = `wb${Math.random().toString(36).slice(2, 8)}`;
  let state = null, tab = "map", shownNumber = null, ends = new Map();
  root.classList.add("wb");

  const kinds = h("div", { class: "ps-bar wb-kinds", role: "group", "aria-label": "Table" });
  const list = h("div", { class: "wb-tabs", role: "tablist", "aria-label": "From table to Pendo" });
  const tabs = TABS.map(([name, label], at) => h("button", {
    type: "button", role: "tab", id: `${uid}-tab-${name}`, "aria-controls": `${uid}-${name}`, class: "wb-tab",
    onclick: () => choose(name), onkeydown: (event) => step(event, at),
  }, `${at + 1}  ${label}`));
  const panels = TABS.map(([name]) => h("div", { role: "tabpanel", id: `${uid}-${name}`, "aria-labelledby": `${uid}-tab-${name}`, class: "wb-panel", hidden: true }));
  const panelOf = (name) => panels[TABS.findIndex(([one]) => one === name)];
  list.append(...tabs);
  root.append(kinds, list, ...panels);

  function step(event, at) {
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: TABS.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = (to + TABS.length) % TABS.length;
    tabs[next].focus();
    choose(TABS[next][0]);
  }

  function choose(name) {
    tab = name;
    TABS.forEach(([one], at) => {
      tabs[at].setAttribute("aria-selected", one === name);
      tabs[at].tabIndex = one === name ? 0 : -1;
      panels[at].hidden = one !== name;
    });
    ({ map: showMap, check: showCheck, changes: showChanges, requests: showRequests, push: showPush })[name]();
  }

  const take = (answer) => { state = { ...state, ...answer }; };
  const end = (name) => { ends.get(name)?.(); ends.delete(name); };

  // --- the kinds ---
  function drawKinds() {
    kinds.replaceChildren(h("span", { class: "ps-title" }, "Workbench"), h("span", { class: "ps-tag" }, visible(state.target)),
      ...state.kinds.filter(() => state.kinds.length > 1).map((kind) => h("button", { type: "button", class: "ps-chip", "aria-pressed": kind === state.kind, onclick: () => swap(kind) }, `${kind}s`)));
  }
  const swap = (kind) => ask("show", { kind }, (answer) => {
    take(answer);
    ["map", "changes"].forEach((name) => { end(name); panelOf(name).replaceChildren(); });
    shownNumber = null;
    drawKinds();
    choose(tab);
  });

  // --- Map ---
  function showMap() {
    if (!ends.has("map")) ends.set("map", renderMapping({ model: part(model, `map ${state.kind}`), el: panelOf("map") }) ?? (() => {}));
  }

  // --- Check ---
  function showCheck() {
    ask("check", {}, (answer) => {
      const clean = answer.n_rows - answer.n_blocked;
      panelOf("check").replaceChildren(
        h("p", { class: "wb-say" }, answer.rules.length ? h("b", {}, `${count(clean)} of ${count(answer.n_rows, "row")} can travel.`) : h("b", { class: "ps-good" }, `✓ Nothing is wrong with ${count(answer.n_rows, "row")}.`)),
        ...answer.rules.map(drawRule));
    }, () => panelOf("check").replaceChildren(h("p", { class: "wb-say" }, "The mapping must be whole first: see the tab Map.")));
  }

  function drawRule(rule) {
    const [sign, tone, meaning] = SIGNS[rule.severity];
    const body = h("tbody"), more = button("Show more", () => turn(body.children.length), { hidden: true });
    const turn = (start) => ask(`problems`, { rule: rule.rule, start, n: 100 }, ({ n, rows }) => {
      body.append(...rows.map(problemRow));
      more.hidden = body.children.length >= n;
    });
    return h("details", { class: "wb-rule", ontoggle: (event) => { if (event.target.open && !body.children.length) turn(0); } },
      h("summary", {}, h("span", { class: tone }, `${sign} ${rule.rule.replaceAll("_", " ")}`), " ", h("b", {}, count(rule.n, "row")), h("span", { class: "ps-muted" }, ` · ${meaning}${rule.fields.length ? ` · ${rule.fields.map(visible).join(", ")}` : ""}`)),
      h("p", {}, rule.meaning),
      h("div", { class: "wb-rows", tabIndex: 0, role: "region", "aria-label": `Rows with ${rule.rule.replaceAll("_", " ")}` },
        h("table", {}, h("thead", {}, h("tr", {}, ["id", "row of the table", "field", "reason"].map((name, at) => h("th", { scope: "col", class: at === 1 ? "ps-number" : "" }, name)))), body)), more);
  }

  // --- Changes ---
  function showChanges() {
    ask("look", {}, (answer) => { take(answer); drawChanges(); });
  }
  function drawChanges() {
    const panel = panelOf("changes");
    if (!state.has_plan || state.comparing_s !== null || state.trouble) { end("changes"); shownNumber = null; return panel.replaceChildren(compareBar()); }
    if (shownNumber === state.n_compared && ends.has("changes")) return panel.firstChild.replaceWith(compareBar());
    end("changes");
    shownNumber = state.n_compared;
    const place = h("div", { class: "wb-inner" });
    panel.replaceChildren(compareBar(), place);
    ends.set("changes", renderPlan({ model: part(model, `changes ${state.kind}`), el: place }));
    return undefined;
  }
  function compareBar() {
    const isBusy = state.comparing_s !== null;
    const creates = h("input", { type: "checkbox", checked: state.creates, disabled: isBusy, onchange: () => ask("creates", { on: creates.checked }, (answer) => { take(answer); drawChanges(); }) });
    const go = button(isBusy ? "Reading Pendo …" : state.has_plan ? "Compare again" : "Compare with what Pendo holds", () => ask("compare", {}, (answer) => { take(answer); drawChanges(); }), { disabled: isBusy, class: `ps-btn ${state.has_plan && !state.is_stale ? "" : "ps-main"}` });
    const words = state.trouble ? h("span", { class: "ps-bad", role: "alert" }, `✕ ${visible(state.trouble)}`)
      : isBusy ? h("span", { class: "ps-muted", role: "status" }, "What Pendo holds is read, id by id or page by page. Nothing is written.")
        : state.is_stale ? h("span", { class: "ps-warn" }, "△ The mapping was changed since: compare again.")
          : state.has_plan ? null : h("span", { class: "ps-muted" }, "Reads what Pendo holds, and shows what would change. Nothing is written.");
    return h("div", { class: "ps-bar wb-compare" }, go, h("label", { class: "wb-check" }, creates, `Create ${state.kind}s that Pendo does not know`), words);
  }

  // --- Dry run ---
  const without = (name) => () => panelOf(name).replaceChildren(h("p", { class: "wb-say" }, "Compare with what Pendo holds first: see the tab Changes."));
  function showRequests() {
    const panel = panelOf("requests"), body = h("tbody"), side = h("div", { class: "wb-body", hidden: true });
    const more = button("Show more", () => turn(body.children.length), { hidden: true });
    const show = (batch) => ask("body", { batch }, (answer) => {
      side.hidden = false;
      side.replaceChildren(h("div", { class: "ps-bar" }, h("b", {}, `Request ${count(answer.batch + 1)}`), h("span", { class: "ps-push" }),
        button("Copy body", (event) => copy(answer.body, event.currentTarget)), answer.curl ? button("Copy as curl", (event) => copy(answer.curl, event.currentTarget)) : null),
      h("pre", { class: "ps-code", tabIndex: 0, "aria-label": "The request's bytes" }, `${answer.line}\n\n${visible(answer.body)}${answer.is_cut ? "\n… (cut here; dry_run has it whole)" : ""}`));
    });
    const turn = (start) => ask("requests", { start, n: 100 }, (answer) => {
      if (!start) panel.replaceChildren(h("p", { class: "wb-say" }, h("b", {}, count(answer.n, "request")), ` for ${count(answer.n_ids, "id")}, ${answer.takes}${answer.pace ? ` at ${answer.pace}/s` : ""}. These are the very bytes; nothing is sent.`), h("div", { class: "wb-two" }, h("div", { class: "wb-rows", tabIndex: 0, role: "region", "aria-label": "Requests" }, h("table", {}, h("thead", {}, h("tr", {}, ["request", "ids", "size", "first id", "last id"].map((name, at) => h("th", { scope: "col", class: at === 1 || at === 2 ? "ps-number" : "" }, name)))), body), more), side));
      body.append(...answer.rows.map(([batch, n, bytes, first, last]) => h("tr", {}, h("td", {}, h("button", { type: "button", class: "ps-link", onclick: () => show(batch) }, `${count(batch + 1)}`)), h("td", { class: "ps-number" }, count(n)), h("td", { class: "ps-number" }, bytes), h("td", { class: "ps-mono" }, value(first)), h("td", { class: "ps-mono" }, value(last)))));
      more.hidden = body.children.length >= answer.n;
      if (!start && answer.rows.length) show(answer.rows[0][0]);
    }, without("requests"));
    turn(0);
  }

  // --- Push ---
  function showPush() { ask("push", {}, drawPush, without("push")); }
  function drawPush(answer) {
    take(answer);
    const panel = panelOf("push");
    const typed = h("input", { class: "ps-input wb-typed", type: "text", autocomplete: "off", "aria-label": `Type ${answer.typed} to push` });
    const go = button("Push", () => ask("start", { typed: typed.value }, (next) => { take(next); showPush(); }), { class: "ps-btn ps-main", disabled: true });
    const may = () => typed.value.trim().toLowerCase() === answer.typed.toLowerCase();
    typed.addEventListener("input", () => { go.disabled = !may() || answer.held.length > 0 || answer.is_stale; });
    const pushed = answer.pushed ? h("p", { class: "wb-say ps-muted" }, `This plan was pushed in run ${visible(answer.pushed)}. Compare again in the tab Changes to see what is left.`) : "";
    typed.addEventListener("keydown", (event) => { if (event.key === "Enter" && !go.disabled) go.click(); });
    const gate = (name, lift, sentence, on) => h("label", { class: "wb-gate" }, h("input", { type: "checkbox", checked: on, onchange: (event) => ask("lift", { gate: name, on: event.target.checked }, drawPush) }),
      h("span", {}, on ? `Lifted: ${name}=${lift}` : h("span", { class: "ps-warn" }, `△ ${visible(sentence.split(" Hint:")[0])} `), on ? null : h("span", {}, `If that is meant, lift ${name} to ${lift}.`)));
    const isEmpty = answer.actions.length === 0;
    const code = h("pre", { class: "ps-code", tabIndex: 0, "aria-label": "The cell of code that would do the same" }, answer.code);
    const place = h("div", { class: "wb-run", "data-pendosync-run": answer.run_mark || false });
    panel.replaceChildren(
      h("p", { class: "wb-say" }, h("b", {}, visible(answer.sentence)), h("span", { class: "ps-muted" }, ` · ${answer.actions.map(([name, n]) => `${name} ${count(n)}`).join(", ") || "nothing is selected"} · ${answer.cost}`)),
      ...answer.notes.map((note) => h("p", { class: "wb-say ps-muted" }, visible(note))),
      answer.is_stale ? h("p", { class: "wb-say ps-warn" }, "△ The mapping was changed since the comparison: compare again in the tab Changes.") : "",
      answer.access === "write" ? "" : h("p", { class: "wb-say ps-warn" }, "△ The settings may not write: open the client with Settings(access=\"write\")."),
      ...answer.held.map(([name, lift, sentence]) => gate(name, lift, sentence, false)), ...answer.lifted.map(([name, lift]) => gate(name, lift, "", true)),
      pushed,
      isEmpty || answer.pushed ? "" : h("div", { class: "ps-bar" }, h("span", {}, "Type ", h("code", { class: "ps-tag wb-phrase" }, visible(answer.typed)), " to push"), typed, go),
      place,
      h("details", { class: "wb-code", open: true }, h("summary", {}, "The same in code"), code, h("div", {}, button("Copy as code", (event) => copy(answer.code, event.currentTarget)))));
  }

  hear("state", () => ask("look", {}, (answer) => { take(answer); if (tab === "changes") drawChanges(); }));
  talk.ask("open", {}, (answer) => { state = answer; drawKinds(); choose("map"); });
  return () => {
    [...ends.keys()].forEach(end);
    talk.close();
  };
}

/** Return the model of a part: what it asks goes out under its name, and it hears what comes for it alone. */
function part(model, name) {
  const inner = new Map();
  return {
    widget_manager: model.widget_manager,
    send: (message) => model.send({ part: name, ...message }),
    on(event, hear) {
      const mine = ({ part: to, ...message }) => { if (to === name) hear(message); };
      inner.set(hear, event === "msg:custom" ? mine : hear);
      model.on(event, inner.get(hear));
    },
    off(event, hear) { model.off(event, inner.get(hear)); },
  };
}

export default widget(render);
