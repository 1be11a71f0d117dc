// A box to search in, with a list below it: typing filters, arrows move, Enter takes, Escape gives up.

import { h } from "./kit.js";

let nBoxes = 0;

/**
 * Return an input whose list is filled by `find(query)`: what is to choose from, each `{node, why, take}`.
 *
 * `query` is empty until something was typed. An option with a `why` is greyed and can't be taken; `take()` is called
 * for the one that was chosen. `isFirst` marks the option that Enter takes unless the arrows say otherwise.
 */
export function combobox(text, find, props = {}) {
  const id = `ps-box-${++nBoxes}`;
  const input = h("input", {
    class: "ps-input", role: "combobox", autocomplete: "off", spellcheck: false, dir: "auto", title: text,
    "aria-expanded": "false", "aria-autocomplete": "list", "aria-haspopup": "listbox", ...props,
  });
  input.value = text;
  let list = null, options = [], active = -1;

  const shut = () => {
    list?.remove();
    list = null;
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
    input.removeAttribute("aria-controls");
    window.removeEventListener("scroll", onScroll, true);
  };
  const onScroll = (event) => { if (!list?.contains(event.target)) shut(); };
  const giveUp = () => { shut(); input.value = text; };
  const place = () => {
    const box = input.getBoundingClientRect();
    const below = window.innerHeight - box.bottom - 8, above = box.top - 8;
    const goesUp = below < 160 && above > below;
    list.style.maxHeight = `${Math.min(280, Math.max(80, goesUp ? above : below))}px`;
    list.style.minWidth = `${box.width}px`;
    list.style.left = `${Math.max(4, Math.min(box.left, window.innerWidth - list.offsetWidth - 4))}px`;
    list.style.top = goesUp ? `${box.top - list.offsetHeight - 2}px` : `${box.bottom + 2}px`;
  };
  const mark = (index) => {
    list.children[active]?.setAttribute("aria-selected", "false");
    active = index;
    const node = list.children[active];
    node?.setAttribute("aria-selected", "true");
    node?.scrollIntoView({ block: "nearest" });
    if (node) input.setAttribute("aria-activedescendant", node.id);
    else input.removeAttribute("aria-activedescendant");
  };
  const take = (option) => {
    if (!option || option.why) return;
    giveUp();
    option.take();
  };
  const fill = (query) => {
    if (!list) {
      list = h("div", { class: "ps-list", role: "listbox", id: `${id}-list`, "aria-label": input.getAttribute("aria-label"), popover: "manual" });
      input.after(list);
      list.showPopover?.();
      input.setAttribute("aria-controls", list.id);
      input.setAttribute("aria-expanded", "true");
      window.addEventListener("scroll", onScroll, true);
    }
    options = find(query);
    list.replaceChildren(...options.map((option, index) => h("div", {
      role: "option", id: `${id}-${index}`, "aria-selected": "false", "aria-disabled": option.why ? "true" : null,
      onmousedown: (event) => event.preventDefault(), // the input keeps the focus
      onclick: () => take(option),
    }, option.node)));
    const first = options.findIndex((option) => option.isFirst);
    mark(first >= 0 || !query ? first : options.findIndex((option) => !option.why));
    place();
  };
  const show = () => {
    input.select();
    fill("");
  };
  const step = (by) => {
    for (let at = active + by; at >= 0 && at < options.length; at += by) if (!options[at].why) return mark(at);
    return undefined;
  };
  input.addEventListener("input", () => fill(input.value.trim()));
  input.addEventListener("click", () => { if (!list) show(); });
  input.addEventListener("blur", giveUp);
  input.addEventListener("keydown", (event) => {
    const { key } = event;
    if (key === "ArrowDown" || key === "ArrowUp") {
      if (list) step(key === "ArrowDown" ? 1 : -1);
      else show();
    } else if (key === "Enter" && list) take(options[active]);
    else if (key === "Escape" && list) giveUp();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  return input;
}
