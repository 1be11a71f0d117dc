// What each widget here stands on: elements made of text and never of markup, and questions to the kernel.

const QUIET_MS = 1500, PRUNE_MS = 300_000;
const WAITING = "The kernel has not answered yet. While a cell runs, it answers when the cell has ended.";
const LOST = "The kernel is gone, and what it held with it. Run the cell again to go on.";
const GONE = new Set(["restarting", "autorestarting", "terminating", "dead"]);
const HIDDEN = /(?! )[\p{C}\p{Z}]/gu;

/** Return an element. `on…` are listeners, `class`, `aria-…` and the like attributes; children are nodes or texts. */
export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name.startsWith("aria-") && value !== null && value !== undefined) node.setAttribute(name, value);
    else if (name in node && typeof value !== "string" && value !== null) node[name] = value;
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Return `text` with what can't be seen written out, as it could hide or turn round what stands beside it. */
export function visible(text) {
  return String(text).replace(HIDDEN, (one) => `\\u{${one.codePointAt(0).toString(16)}}`);
}

/** Return an element that shows a value of the user's, whichever way its script runs. */
export function value(text, props = {}) {
  return h("bdi", props, visible(text));
}

/** Return `n` as a person reads it, with `word` in the right number where one is given. */
export function count(n, word = "", many = `${word}s`) {
  const number = n.toLocaleString("en");
  return word ? `${number} ${n === 1 ? word : many}` : number;
}

/** Return what calls `act` once the calls have stopped for so many milliseconds. */
export function calm(act, ms) {
  let timer;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => act(...args), ms);
  };
}

/** Return a button. */
export function button(label, onclick, props = {}) {
  return h("button", { type: "button", class: "ps-btn", onclick, ...props }, label);
}

/** Copy `text`, and say so on the button that asked for it. */
export async function copy(text, asked) {
  const label = asked.textContent;
  const done = await navigator.clipboard?.writeText(text).then(() => true, () => false) || copyByHand(text);
  asked.textContent = done ? "Copied" : "Can’t copy here";
  setTimeout(() => { asked.textContent = label; }, 1200);
}

function copyByHand(text) {
  const area = h("textarea", { class: "ps-unseen", "aria-hidden": "true" });
  area.value = text;
  const focused = document.activeElement;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  focused?.focus();
  return done;
}

/**
 * Return the root of a widget in `el`, with a line for what goes wrong, and the questions to the kernel.
 *
 * `ask(kind, args, then)` calls `then` with the answer, unless a later question of that kind was asked meanwhile, or
 * `failed`, a fourth argument, where the kernel says why it can't.
 * `hear(kind, then)` calls `then` with what the kernel tells all views. While the kernel does not answer, the root
 * says so; when it is gone, it says that, and is not to be clicked any more.
 *
 * `words` may say `waiting` and `lost` otherwise, and after how many milliseconds it is `quiet` for too long.
 */
export function open(model, el, label, words = {}) {
  const notice = h("div", { class: "ps-notice", role: "status", hidden: true });
  const root = h("section", { class: "ps", "aria-label": label }, notice);
  const me = Math.random().toString(36).slice(2);
  const asked = new Map(), heard = new Map();
  let number = 0, timer = null, isGone = false;
  const say = (text, kind = "") => {
    notice.hidden = !text;
    notice.className = `ps-notice ${kind}`;
    notice.textContent = text;
  };
  const settle = () => {
    clearTimeout(timer);
    timer = null;
    if (asked.size) timer = setTimeout(() => say(words.waiting ?? WAITING, "ps-waiting"), words.quiet ?? QUIET_MS);
    else if (notice.classList.contains("ps-waiting")) say("");
  };
  const onMessage = (message) => {
    if (message.part) return undefined; // for a part of this widget
    if (message.tell) return heard.get(message.tell)?.(message);
    if (message.to !== me) return undefined;
    const question = asked.get(message.kind);
    if (!question || question.number !== message.number) return undefined; // a late answer to an old question
    asked.delete(message.kind);
    settle();
    const { answer, error } = message;
    if (error) { say(error, "ps-wrong"); return question.failed(); }
    return question.then(answer);
  };
  const onGone = () => {
    isGone = true;
    root.classList.add("ps-gone");
    clearTimeout(timer);
    say(words.lost ?? LOST, "ps-lost");
  };
  const onKey = (event) => { // JupyterLab's own keys rest while one of ours has the focus: D, D deletes a cell there
    if (!root.contains(event.target)) return;
    const isTheirs = (event.ctrlKey || event.metaKey) && !root.dataset.keys?.includes(event.key.toLowerCase());
    event.target.toggleAttribute("data-lm-suppress-shortcuts", !isTheirs); // most of its keys match the target itself
  };
  const forget = () => { if (notice.classList.contains("ps-wrong")) say(""); }; // an error stays until something is done
  const onStatus = (_, status) => { if (GONE.has(status)) onGone(); };
  const kernel = model.widget_manager?.context?.sessionContext ?? model.widget_manager?.kernel; // a notebook’s, a console’s
  kernel?.statusChanged?.connect(onStatus); // of a kernel that is shut down, or that died, a model hears nothing
  model.on("comm_live_update", onGone);
  model.on("msg:custom", onMessage);
  window.addEventListener("keydown", onKey, true);
  root.addEventListener("click", forget, true);
  root.addEventListener("keydown", forget, true);
  el.append(root);
  return {
    root, say,
    isGone: () => isGone,
    hear: (kind, then) => heard.set(kind, then),
    ask(kind, args, then = () => {}, failed = () => {}) {
      if (isGone) return;
      asked.set(kind, { number: ++number, then, failed });
      settle();
      try {
        model.send({ from: me, number, kind, args });
      } catch { // the way to the kernel is closed
        onGone();
      }
    },
    close() {
      clearTimeout(timer);
      kernel?.statusChanged?.disconnect(onStatus);
      model.off("comm_live_update", onGone);
      model.off("msg:custom", onMessage);
      window.removeEventListener("keydown", onKey, true);
    },
  };
}

/** Return what a widget's module gives: a view as an output of its own, and one that lies over its output's picture. */
export function widget(render) {
  return { render, initialize: ({ model }) => lieOver(model, render) };
}

/** Put a view into each place that the pictures of this widget keep, now and later. */
function lieOver(model, render) {
  const place = `[data-pendosync-view="${model.get("mark")}"]`;
  const views = new Map();
  const settle = (found) => {
    if (found.contains(views.get(found)?.el ?? null)) return;
    const el = h("div"), pictures = [...found.children];
    found.prepend(el);
    const end = render({ model, el });
    if (el.querySelector(".ps-gone")) { // nobody is there to answer: the picture stays
      observer.disconnect();
      end();
      el.remove();
      return;
    }
    for (const picture of pictures) picture.style.display = "none";
    found.closest(".jp-RenderedHTMLCommon")?.classList.remove("jp-RenderedHTMLCommon"); // a style for texts, not for us
    views.set(found, { el, end, wasAway: false });
  };
  const look = (nodes) => {
    for (const node of nodes) {
      if (!node.isConnected || !node.querySelectorAll) continue;
      if (node.matches(place)) settle(node);
      node.querySelectorAll(place).forEach(settle);
    }
  };
  const prune = () => { // of a cell that was deleted or run again, and stayed away from one time to the next
    for (const [found, view] of views) {
      const stays = found.isConnected || !view.wasAway;
      view.wasAway = !found.isConnected;
      if (stays) continue;
      view.end();
      view.el.remove();
      views.delete(found);
    }
  };
  const observer = new MutationObserver((changes) => look(changes.flatMap((change) => [...change.addedNodes])));
  const timer = setInterval(prune, PRUNE_MS);
  observer.observe(document.body, { childList: true, subtree: true });
  look([document.body]);
  return () => {
    clearInterval(timer);
    observer.disconnect();
    views.forEach(({ end }) => end());
  };
}
