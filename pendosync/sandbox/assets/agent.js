// A stand-in for Pendo's browser agent, for pages that talk to the embedded Pendo. Written from what is publicly known
// of the calls; the way it posts is its own.
(() => {
  "use strict";
  const METHODS = ["initialize", "identify", "updateOptions", "pageLoad", "track"];
  const KINDS = ["visitor", "account", "parentAccount"];
  const LARGEST_KEPT_ALIVE = 60000; // bytes; a browser drops a larger request that outlives its page
  const LONGEST_TEXT = 80;

  const address = document.currentScript.src.replace(/\/agent\/static\/([^/]+)\/.*$/, "/agent/received/$1");
  const pendo = (window.pendo = window.pendo || {});
  if (pendo.isStandIn) return; // two snippets in a page load it twice

  // --- who is here, as the last call left it

  let here = null;
  const early = []; // calls that came before initialize

  function idOf(part) {
    return part.id === undefined || part.id === null || part.id === "" ? null : String(part.id);
  }

  function anonymousId() {
    const bytes = crypto.getRandomValues(new Uint8Array(8));
    return "_PENDO_T_" + Array.from(bytes, one => one.toString(16).padStart(2, "0")).join("");
  }

  // The parts that a call names, each with its id: the one it brings, or that of who is here already.
  function named(options) {
    const told = {};
    for (const kind of KINDS) {
      const part = (options || {})[kind];
      if (!part || typeof part !== "object") continue;
      const id = idOf(part) ?? (here && here[kind]) ?? (kind === "visitor" ? anonymousId() : null);
      if (id !== null) told[kind] = { ...part, id };
    }
    return told;
  }

  function learn(options) {
    const told = named(options);
    if (!told.visitor) told.visitor = { id: (here && here.visitor) || anonymousId() };
    here = { ...here };
    for (const kind of KINDS) if (told[kind]) here[kind] = told[kind].id;
    post({ type: "metadata", ...told });
  }

  // --- the calls

  const calls = {
    initialize(options) {
      if (here) return; // once a page; what comes later is told by identify or updateOptions
      learn(options);
      document.addEventListener("click", noteClick, { capture: true });
      calls.pageLoad();
      for (const [method, ...given] of early.splice(0)) calls[method](...given);
    },
    identify(options, accountId) {
      const isIds = typeof options !== "object";
      learn(isIds ? { visitor: { id: options }, ...(accountId ? { account: { id: accountId } } : {}) } : options);
    },
    updateOptions(options) {
      learn(options);
    },
    pageLoad() {
      note("page", "page", { url: location.href, title: document.title });
    },
    track(event, properties) {
      note("track", String(event), { ...properties });
    },
  };

  function noteClick(event) {
    const element = event.target;
    const text = (element.textContent || "").trim().slice(0, LONGEST_TEXT);
    note("click", "click", { element: element.localName, id: element.id || "", text, url: location.href });
  }

  function note(type, event, properties) {
    post({ type, event, visitorId: here.visitor, accountId: here.account ?? null, timestamp: Date.now(), properties });
  }

  // --- the way out: one post at a time, so that all arrives in the order in which it happened

  const waiting = [];
  let isPosting = false;

  function post(message) {
    waiting.push(message);
    if (!isPosting) postAll();
  }

  async function postAll() {
    isPosting = true;
    await null; // what is called in one go travels in one post
    while (waiting.length) await postNow(waiting.splice(0)).catch(() => {});
    isPosting = false;
  }

  function postNow(messages) {
    const body = JSON.stringify({ messages });
    const keepalive = new TextEncoder().encode(body).length < LARGEST_KEPT_ALIVE;
    return fetch(address, { method: "POST", mode: "no-cors", keepalive, body });
  }

  addEventListener("pagehide", () => {
    if (waiting.length) postNow(waiting.splice(0)).catch(() => {});
  });

  // --- take the place of the calls that waited, initialize first

  const queued = pendo._q || [];
  pendo.isStandIn = true;
  for (const method of METHODS) {
    pendo[method] = (...given) => {
      if (here || method === "initialize") calls[method](...given);
      else early.push([method, ...given]);
    };
  }
  pendo._q = [];
  const isFirst = ([method]) => method === "initialize";
  const known = queued.filter(([method]) => METHODS.includes(method));
  for (const [method, ...given] of [...known.filter(isFirst), ...known.filter(one => !isFirst(one))]) {
    pendo[method](...given);
  }
})();
