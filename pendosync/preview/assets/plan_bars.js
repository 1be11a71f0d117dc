// What lies above and below the rows of a preview: chips, filters in force, problems, and the count of the choice.
import { button, count, h, value, visible } from "./kit.js";
import { filterWords } from "./plan_menus.js";

/** Return the chips: rows per action, and problems per rule. */
export function chipsOf(plan, { actions, rule }, does) {
  const sign = (problem) => h("span", { class: problem.is_warning ? "ps-warn" : "ps-bad", "aria-hidden": "true" }, problem.is_warning ? "△" : "✕");
  const chip = (name, isPressed, onclick, props, ...inside) => h("button", { type: "button", class: "ps-chip", "data-chip": name, "aria-pressed": isPressed, onclick, ...props }, ...inside);
  const still = plan.n_unchanged === null ? [] : [h("span", { class: "pp-still ps-muted" }, `unchanged ${count(plan.n_unchanged)}`)];
  return [
    ...plan.actions.map(([action, n]) => chip(action, actions.includes(action), () => does.action(action), {},
      h("span", { class: `pp-dot pp-dot-${action}`, "aria-hidden": "true" }), action, h("span", { class: "ps-muted" }, count(n)))),
    ...still,
    ...plan.problems.map((problem) => chip(problem.rule, problem.rule === rule, () => does.problem(problem), { title: problem.meaning },
      sign(problem), problem.rule.replaceAll("_", " "), h("span", { class: "ps-muted" }, count(problem.n)))),
  ];
}

/** Return the filters in force that no chip shows, each to be taken away by a click. */
export function filtersOf(filter, does) {
  const link = (label, onclick) => h("button", { type: "button", class: "ps-link", onclick }, label);
  return [
    ...filterWords(filter).filter(({ isChip }) => !isChip).map(({ text, without }) => h("button", { type: "button", class: "ps-chip", "aria-label": `Take away the filter ${text}`, onclick: () => does.filter(without) },
      visible(text), h("span", { "aria-hidden": "true" }, "✕"))),
    ...(filter.rule ? [link("See each with its reason", () => does.list(filter.rule))] : []),
    link("Clear all", does.clear),
  ];
}

/** Return how many are selected, of how many, which are in sight unless the last place is 0, and what the choice costs. */
export function footOf(plan, state, firstPlace, lastPlace) {
  const { n_shown: shown, n_readable: readable, n_selected_here: here } = state;
  const some = here === readable ? "all" : here === 0 ? "none" : count(here);
  const part = shown === plan.n ? "" : ` · ${count(shown)} shown, ${some} of them selected`;
  const range = lastPlace ? `rows ${count(firstPlace)}–${count(lastPlace)} of ${count(shown)} · ` : "";
  return [h("b", {}, `${count(state.n_selected)} selected`), " ", h("span", { class: "ps-muted" }, `of ${count(plan.n, "id")}${part}`), " ",
    h("span", { class: "ps-push ps-muted" }, `${range}${state.cost}`)];
}

/** Return the list of the problems of one rule; `turn(start, then)` gets a page of them. */
export function problemList({ rule, meaning }, turn, close) {
  const rows = h("tbody");
  const more = button("Show more", () => next(), { hidden: true });
  const next = () => turn(rows.children.length, (answer) => {
    rows.append(...answer.rows.map(problemRow));
    more.hidden = rows.children.length >= answer.n;
  });
  const heads = ["id", "row of the table", "field", "reason"].map((name) => h("th", { scope: "col" }, name));
  next();
  return [
    h("div", { class: "ps-bar" }, h("b", {}, rule.replaceAll("_", " ")), h("span", {}, meaning), button("Back to the rows", close, { class: "ps-btn ps-push" })),
    h("div", { class: "pp-list", tabIndex: 0, role: "region", "aria-label": "Problems" }, h("table", {}, h("thead", {}, h("tr", {}, heads)), rows)),
    more,
  ];
}

/** Return one problem as a row of a table. */
export function problemRow([id, row, field, n, reason]) {
  return h("tr", {},
    h("td", { class: "ps-mono" }, id === null ? h("span", { class: "ps-muted" }, row === null ? "whole column" : "no id") : value(id)),
    h("td", { class: "ps-number" }, row === null ? count(n, "row") : count(row)),
    h("td", {}, field === null ? "" : value(field)), h("td", {}, value(reason)));
}
