// A run as it goes: a live view that lies over the picture of the run wherever the page holds one.
import { button, count, h, open } from "./kit.js";
import { drawLine, drawRows, isIdle, set, setIdle, setLine } from "./run_parts.js";

const DEEDS = { pause: "pausing …", proceed: "going on …", cancel: "stopping …" };
const SIGNS = { done: "✓", cancelled: "◼", stopped: "✕", interrupted: "✕" };
const TONES = { updated: "good", created: "good", accepted: "good", missing: "bad", failed: "bad", refused: "warn", unknown: "warn" };

/** Find each place in the page that the run's picture keeps, now and later, and put a live view there. */
function initialize({ model }) {
  const place = `[data-pendosync-run="${model.get("mark")}"]`;
  const views = [];
  const settle = (found) => {
    if (views.some((view) => view.place === found && found.contains(view.el))) return;
    const left = views.filter((view) => !view.place.isConnected);
    const view = left.find((one) => one.within === found.parentElement) ?? left[0] ?? draw(model);
    view.move(found);
    if (view.isLost()) observer.disconnect(); // nobody is there to tell how the run goes: the picture stays
    else if (!views.includes(view)) views.push(view);
  };
  const look = (nodes) => {
    for (const node of nodes) {
      if (!node.querySelectorAll || !node.isConnected) continue;
      if (node.matches(place)) settle(node);
      node.querySelectorAll(place).forEach(settle);
    }
  };
  const observer = new MutationObserver((changes) => look(changes.flatMap((change) => [...change.addedNodes])));
  observer.observe(document.body, { childList: true, subtree: true });
  look([document.body]);
  return () => {
    observer.disconnect();
    views.forEach((view) => view.close());
  };
}

/** Return a view that has no place yet. It is seen, and the picture not, once the kernel has told how the run goes. */
function draw(model) {
  const el = h("div", { hidden: true });
  const words = { quiet: 1000, waiting: "" };
  const { root, ask, hear, close, isGone } = open(model, el, "Push", words);
  let now = null, wish = "", waits_until = 0, focused = null, isLooking = false;

  const title = h("bdi", { class: "ps-title" }), tag = h("bdi", { class: "ps-tag" });
  const rest = button("Pause", () => press(now.state === "paused" ? "proceed" : "pause"));
  const stop = button("Cancel", () => { if (!isIdle(stop)) sure(true); });
  const buttons = h("span", { class: "ps-push ps-run-buttons" }, rest, stop);
  const really = button("Stop", () => { sure(false); press("cancel"); }, { class: "ps-btn ps-main" });
  const confirm = h("div", { class: "ps-bar ps-run-sure", role: "group", "aria-label": "Cancel the push", hidden: true },
    h("span", {}, "Stop after what is in flight? What is not sent stays pending."), really, button("Go on", () => sure(false)));
  const bar = h("div", { class: "ps-run-bar", role: "progressbar", "aria-label": "ids with an outcome", "aria-valuemin": 0 });
  const counts = h("span", { class: "ps-run-counts" }), facts = h("span", { class: "ps-push ps-muted" });
  const line = drawLine(), batches = h("span", { class: "ps-push ps-muted" });
  const course = h("div", { class: "ps-bar ps-run-course" }, line.node, batches);
  const wait = h("div", { class: "ps-run-line ps-warn", hidden: true }), lowered = h("div", { class: "ps-run-line ps-warn", hidden: true });
  const ending = h("strong", { class: "ps-run-ending" });
  const rows = drawRows(ask);
  const more = button("", () => { rows.toggle(); showEnd(); }, { hidden: true });
  const end = h("div", { class: "ps-bar", hidden: true }, ending, more);
  const note = h("div", { class: "ps-run-line", dir: "auto" }), next = h("div", { class: "ps-run-line ps-muted" });
  const aloud = h("div", { class: "ps-unseen", "aria-live": "polite" });
  root.classList.add("ps-run");
  root.tabIndex = -1;
  root.append(h("div", { class: "ps-bar" }, title, tag, buttons), confirm, bar, h("div", { class: "ps-bar" }, counts, facts),
    wait, lowered, course, end, note, next, rows.node, aloud);

  function look() { // once at a time: while a cell runs, questions would heap up
    if (isLooking) return;
    isLooking = true;
    ask("look", {}, (told) => { isLooking = false; show(told); }, () => { isLooking = false; });
  }

  function press(deed) {
    if (isIdle(stop)) return;
    wish = deed;
    showButtons();
    ask("do", { deed }, undefined, () => {
      wish = "";
      showButtons();
    });
  }

  function sure(asked) {
    confirm.hidden = !asked;
    (asked ? really : stop).focus();
  }

  function show(told) {
    const was = now;
    now = told;
    waits_until = performance.now() + told.waits_s * 1000;
    words.waiting = `A cell is running and holds the kernel. ${told.here ? "Interrupt it (■) to stop the run: a wait for the run then ends it cleanly." : "Interrupt it (■), and the run hears what was clicked."}`;
    words.lost = `The kernel is gone. The journal knows what was pushed${told.over ? "." : `: ${told.resume} goes on.`}`;
    if (isHeard(wish, told)) wish = "";
    if (was?.state !== told.state) tellState(was);
    set(title, `${told.heading} ${told.title}`);
    set(tag, `run ${told.run}`);
    showBar();
    line.show(told);
    course.hidden = line.node.hidden;
    set(facts, [...told.facts, ...(course.hidden ? [told.batches] : [])].join(" · "));
    set(batches, told.batches);
    setLine(lowered, told.lowered && `△ ${told.lowered}`);
    setLine(note, told.note);
    setLine(next, told.next);
    showWait();
    showButtons();
    if (told.over) showEnd();
    el.hidden = false;
    cover();
  }

  function tellState(was) {
    root.dataset.state = now.state;
    if (was) set(aloud, `${now.heading} ${now.title}. ${now.ending}`);
  }

  function showBar() {
    bar.setAttribute("aria-valuemax", now.n);
    bar.setAttribute("aria-valuenow", now.known);
    bar.setAttribute("aria-valuetext", `${count(now.known)} of ${count(now.n, "id")}`);
    bar.replaceChildren(...now.counts.map(([name, n]) => h("div", { class: `ps-run-${name}`, style: `width:${100 * n / now.n}%`, title: `${count(n)} ${name}` })));
    const told = now.left ? [...now.counts, now.left] : now.counts;
    const known = JSON.stringify(told);
    if (counts.dataset.known === known) return;
    counts.dataset.known = known;
    counts.replaceChildren(...told.map(([name, n]) => h("span", {}, h("b", { class: `ps-${TONES[name] ?? "muted"}` }, count(n)), ` ${name}`)));
  }

  function showWait() {
    const left_s = Math.ceil((waits_until - performance.now()) / 1000);
    setLine(wait, left_s > 0 && !now.over && `△ Pendo asked to wait: going on in ${left_s < 120 ? `${left_s} s` : `${Math.ceil(left_s / 60)} min`}`);
  }

  function showButtons() {
    const rests = now.state === "paused", holds = root.contains(document.activeElement);
    set(rest, DEEDS[wish === "cancel" ? "" : wish] ?? (rests ? "Resume" : "Pause"));
    set(stop, wish === "cancel" || now.state === "stopping" ? DEEDS.cancel : "Cancel");
    [rest, stop].forEach((one) => setIdle(one, wish || now.state === "stopping"));
    rest.hidden = now.state === "stopping" || wish === "cancel";
    buttons.hidden = now.over;
    if (now.over || now.state === "stopping") confirm.hidden = true;
    if (holds && !document.activeElement.checkVisibility?.()) (now.over ? root : stop).focus();
  }

  function showEnd() {
    end.hidden = false;
    const sign = now.state === "done" && now.rejected ? "△" : SIGNS[now.state];
    set(ending, `${sign} ${now.ending}`);
    ending.className = `ps-run-ending ps-${sign === "✓" ? "good" : sign === "✕" ? "bad" : "warn"}`;
    more.hidden = !now.rejected;
    more.setAttribute("aria-expanded", String(!rows.node.hidden));
    set(more, `${rows.node.hidden ? "Show" : "Hide"} the ${count(now.rejected, "rejected row")}`);
  }

  /** Hide the picture beneath. */
  function cover() {
    for (const other of view.place.children) if (other !== el) other.style.display = "none";
  }

  const view = {
    el, close, place: null, within: null,
    isLost: isGone,
    move(place) {
      this.place = place;
      this.within = place.parentElement;
      look();
      if (this.isLost()) return;
      place.prepend(el);
      if (now) cover();
      if (focused && document.activeElement === document.body) focused.focus({ preventScroll: true });
    },
  };
  root.addEventListener("focusin", (event) => { focused = event.target; });
  root.addEventListener("focusout", () => queueMicrotask(() => { // a place that is drawn anew takes the focus away, too
    if (el.isConnected && !root.contains(document.activeElement)) focused = null;
  }));
  confirm.addEventListener("keydown", (event) => { if (event.key === "Escape") sure(false); });
  const ticker = setInterval(() => { if (now && !wait.hidden) showWait(); }, 500);
  view.close = () => { clearInterval(ticker); close(); el.remove(); };
  hear("moved", show);
  return view;
}

/** Whether a run does what was wished. */
function isHeard(wish, { state, over }) {
  if (over || state === "stopping") return true;
  return wish === "pause" ? state === "paused" : wish === "proceed" && state !== "paused";
}

export default { initialize };
