(agentUrl => {
  // What is called before the agent is there waits in line; initialize goes before all else.
  const pendo = (window.pendo = window.pendo || {});
  pendo._q = pendo._q || [];
  const isFirst = ([method]) => method === "initialize";
  for (const method of ["initialize", "identify", "updateOptions", "pageLoad", "track"]) {
    pendo[method] = pendo[method] || ((...given) => {
      const call = [method, ...given];
      const place = isFirst(call) ? pendo._q.filter(isFirst).length : pendo._q.length;
      pendo._q.splice(place, 0, call);
    });
  }
  const script = document.createElement("script");
  script.async = true;
  script.src = agentUrl;
  document.head.append(script);
})
