/* Makes the page live: numbers are patched in place from /v1/live, and what is judged (words, tones,
   order) is drawn by the server again when something has happened, and only where it differs. Without
   this file the page says the same, as of when it was loaded. */
"use strict";
(() => {
  const SHORTEST_MS = 2000;
  const AGAIN_MS = 2000;
  const SILENT_S = 3.5;
  const $ = (id) => document.getElementById(id);
  const main = $("main");
  if (!main || !$("live")) return;
  const isOverview = Boolean($("verdict"));

  /* --- words: as words.py has them ------------------------------------------------------------ */
  const NONE = "–";
  const UNITS = ["", "k", "M", "G", "T", "P"];
  const short = (value, unit) => {
    let size = Math.abs(value);
    let place = 0;
    while (size >= 999.5 && place < UNITS.length - 1) { size /= 1000; place += 1; }
    const isExact = place === 0 && Number.isInteger(size);
    const text = isExact || size >= 9.95 ? size.toFixed(0) : size.toFixed(1);
    return [(value < 0 ? "-" : "") + text, UNITS[place] + unit].filter(Boolean).join(" ");
  };
  const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
  const two = (value) => String(value).padStart(2, "0");
  const FORMS = {
    number: (value) => (isNumber(value) ? short(value, "") : NONE),
    octets: (value) => (isNumber(value) ? short(value, "B") : NONE),
    age: (value) => {
      if (!isNumber(value)) return NONE;
      const s = Math.max(0, Math.floor(value));
      if (s < 60) return `${s} s`;
      if (s < 3600) return `${Math.floor(s / 60)} m ${two(s % 60)} s`;
      if (s < 86400) return `${Math.floor(s / 3600)} h ${two(Math.floor((s % 3600) / 60))} m`;
      return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
    },
  };
  const say = (element, text) => { if (element.textContent !== text) element.textContent = text; };

  /* --- what is known ----------------------------------------------------------------------------- */
  let picture = null;
  let heardAt = 0; /* this browser's clock, ms */
  let offset = Number($("live").dataset.at) * 1000 - Date.now(); /* the host's clock beyond ours, ms */
  let everyMs = SHORTEST_MS;
  let lostAt = 0;
  let isOver = false; /* nobody may look from here any more, until he logs in again */

  const take = (news) => {
    for (const key of ["status", "traffic"]) picture[key] = { ...picture[key], ...news[key] };
    for (const [name, one] of Object.entries(news.proxies || {})) {
      if (one === null) delete picture.proxies[name]; else picture.proxies[name] = one;
    }
  };
  const at = (path) => path.split(".").reduce((one, key) => (one == null ? one : one[key]), picture);
  /* What changes all the time, and tells nothing. */
  const RESTLESS = new Set(["uptime_s", "lease_s", "seen_s_ago", "sent", "heard", "written", "loss",
    "last_answer_s_ago", "clock_offset_s", "heard_at", "oldest_s", "left_s", "refused", "more", "last"]);
  const essence = () => JSON.stringify(
    [picture.status, Object.entries(picture.proxies).map(([name, one]) => [name, one.status, one.servers_up, one.servers])],
    (key, value) => (RESTLESS.has(key) ? undefined : value),
  );

  /* --- numbers in place --------------------------------------------------------------------------- */
  const patch = () => {
    if (!picture) return;
    let isQuiet = false;
    for (const element of main.querySelectorAll("[data-path]")) {
      const value = at(element.dataset.path);
      if (value === undefined) continue;
      if (element.dataset.as !== "ago") say(element, FORMS[element.dataset.as](value));
      else if (isNumber(value) && value <= SILENT_S) say(element, `${value.toFixed(1)} s ago`);
      else isQuiet = true;
    }
    for (const row of main.querySelectorAll("[data-proxy]")) {
      const one = picture.proxies[row.dataset.proxy];
      if (!one) continue;
      for (const cell of row.querySelectorAll("[data-f]")) {
        if (cell.dataset.as === "up") {
          if (isNumber(one.servers_up) && isNumber(one.servers)) say(cell, `${one.servers_up}/${one.servers}`);
          continue;
        }
        const value = one[cell.dataset.f];
        say(cell, FORMS[cell.dataset.as](value));
        cell.classList.toggle("z", value === 0);
        cell.classList.toggle("hot", cell.dataset.f === "5xx_per_s" && value > 0);
      }
    }
    for (const element of main.querySelectorAll("[data-hot]")) element.classList.toggle("hot", at(element.dataset.hot) > 0);
    for (const svg of main.querySelectorAll("[data-spark]")) extend(svg);
    if (isQuiet) soon(); /* whom the other host has lost is for the server to say */
  };
  const tick = () => {
    const now = Date.now() + offset;
    for (const element of document.querySelectorAll("[data-since]")) {
      say(element, FORMS.age(now / 1000 - Number(element.dataset.since)));
    }
  };

  /* --- a sparkline goes on: its last point is now -------------------------------------------------- */
  const extend = (svg) => {
    const value = at(svg.dataset.spark);
    const values = svg.dataset.values.split(" ").filter(Boolean).map(Number);
    if (!isNumber(value) || values.length < 2) return;
    values[values.length - 1] = value;
    const peak = Math.max(...values) || 1;
    const left = 240 - (240 / 119) * (values.length - 1);
    const points = values.map((one, i) => `${(left + (i * 240) / 119).toFixed(1)} ${(35 - (one * 34) / peak).toFixed(1)}`);
    const line = `M${points.join("L")}`;
    svg.querySelector(".line").setAttribute("d", line);
    svg.querySelector(".area").setAttribute("d", `${line}V36H${left.toFixed(1)}Z`);
  };

  /* --- the server's judgement again, only where it differs ------------------------------------------ */
  const keyOf = (node) => (node.nodeType === 1 ? node.id || node.dataset.key || "" : "");
  const isAlike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);
  const KEPT = new Set(["open", "value"]);
  const morph = (was, now) => {
    if (was.isEqualNode(now)) return;
    if (was.nodeType !== 1) { if (was.nodeValue !== now.nodeValue) was.nodeValue = now.nodeValue; return; }
    for (const { name, value } of now.attributes) if (was.getAttribute(name) !== value && !KEPT.has(name)) was.setAttribute(name, value);
    for (const { name } of [...was.attributes]) if (!now.hasAttribute(name) && !KEPT.has(name)) was.removeAttribute(name);
    const keyed = new Map();
    for (const child of was.childNodes) if (keyOf(child)) keyed.set(keyOf(child), child);
    let here = was.firstChild;
    for (const next of [...now.childNodes]) {
      const key = keyOf(next);
      let found = key ? keyed.get(key) : here;
      if (found && !isAlike(found, next)) found = null;
      if (!key && found && keyOf(found)) found = null;
      if (!found) { was.insertBefore(document.importNode(next, true), here); continue; }
      if (found !== here) was.insertBefore(found, here); else here = here.nextSibling;
      morph(found, next);
    }
    while (here) { const gone = here; here = here.nextSibling; gone.remove(); }
  };
  const BLANK = /^[ \n]*$/;
  const tidy = (root) => {
    const walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    const blank = [];
    while (walk.nextNode()) if (walk.currentNode.nodeValue.includes("\n") && BLANK.test(walk.currentNode.nodeValue)) blank.push(walk.currentNode);
    for (const node of blank) node.remove();
    return root;
  };

  let refreshedAt = Date.now();
  let waiting = 0;
  const refresh = async () => {
    waiting = 0;
    refreshedAt = Date.now();
    const url = new URL(location.href);
    url.searchParams.delete("did");
    let response;
    try {
      response = await fetch(url, { headers: { Accept: "text/html" }, credentials: "same-origin" });
    } catch { soon(); return; }
    if (response.redirected && new URL(response.url).pathname === "/login") { ended(); return; }
    /* What is gone says so itself; anything else that is no page is asked for again. */
    if (!response.ok && response.status !== 404) { soon(); return; }
    const next = tidy(new DOMParser().parseFromString(await response.text(), "text/html"));
    if (!next.getElementById("main")) return;
    if (next.querySelector("link[rel=stylesheet]").href !== document.querySelector("link[rel=stylesheet]").href) {
      location.reload(); /* another version of lbctl */
      return;
    }
    const told = $("live").className;
    const text = $("live-text").textContent;
    const focused = document.activeElement;
    for (const id of ["main", "foot"]) morph($(id), next.getElementById(id));
    for (const role of document.querySelectorAll("#bar .role")) role.remove();
    for (const role of [...next.querySelectorAll("#bar .role")]) $("bar").querySelector("nav").before(document.importNode(role, true));
    if (focused && focused.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
    document.title = next.title;
    document.body.dataset.tone = next.body.dataset.tone;
    $("icon").href = document.body.dataset.tone === "bad" ? $("icon").dataset.bad : $("icon").dataset.good;
    $("live").className = told;
    say($("live-text"), text);
    patch();
    tick();
  };
  const soon = () => {
    if (waiting || document.hidden) return;
    waiting = setTimeout(refresh, Math.max(50, refreshedAt + Math.max(SHORTEST_MS, everyMs) - Date.now()));
  };

  /* --- the stream ------------------------------------------------------------------------------------ */
  const clock = (ms) => {
    const when = new Date(ms);
    return [when.getHours(), when.getMinutes(), when.getSeconds()].map(two).join(":");
  };
  let source = null;
  let again = 0;
  const heard = () => {
    heardAt = Date.now();
    lostAt = 0;
    isOver = false;
    document.body.classList.remove("stale");
    $("live").className = "live on";
    say($("live-text"), "live");
  };
  const lost = () => {
    if (!lostAt) lostAt = heardAt || Date.now();
    document.body.classList.add("stale");
    $("live").className = "live off";
    say($("live-text"), `reconnecting; as of ${clock(lostAt)}`);
  };
  const ended = () => {
    close();
    isOver = true;
    document.body.classList.add("stale");
    $("live").className = "live off";
    const link = document.createElement("a");
    link.href = `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
    link.textContent = "log in again";
    $("live-text").replaceChildren("the session has ended: ", link);
  };
  const close = () => {
    if (source) source.close();
    source = null;
    clearTimeout(again);
  };
  let known = "";
  const arrived = (news) => {
    if (isNumber(news.at)) offset = news.at * 1000 - Date.now();
    if (isNumber(news.every_s)) everyMs = news.every_s * 1000;
    heard();
    const now = essence();
    if (now !== known) soon(); /* what was drawn may be older than the first picture too */
    known = now;
    patch();
  };
  const open = () => {
    close();
    source = new EventSource("/v1/live");
    source.addEventListener("snapshot", (message) => {
      const wasLost = lostAt > 0;
      picture = JSON.parse(message.data);
      arrived(picture);
      if (wasLost) soon();
    });
    source.addEventListener("change", (message) => {
      if (!picture) return;
      const news = JSON.parse(message.data);
      take(news);
      arrived(news);
    });
    source.addEventListener("event", () => { if (picture) soon(); });
    source.onerror = () => {
      lost();
      if (source && source.readyState === EventSource.CLOSED) {
        close();
        again = setTimeout(retry, AGAIN_MS + Math.random() * 1000);
      }
    };
  };
  /* An answer that is no stream ends an EventSource for good: find out why, and go on. */
  const retry = async () => {
    try {
      const response = await fetch("/v1/status", { method: "HEAD", credentials: "same-origin" });
      if (response.status === 401 || response.redirected) { ended(); return; }
    } catch { /* nobody is there: the next try says so */ }
    open();
  };

  /* --- the reading of the plot, for whoever points or tabs --------------------------------------------- */
  const read = (event) => {
    const one = event.target.closest && event.target.closest(".bucket");
    if (one && $("reading")) say($("reading"), one.getAttribute("aria-label"));
  };
  main.addEventListener("pointerover", read);
  main.addEventListener("focusin", read);

  tidy(main);
  tidy($("foot"));
  if ($("did")) {
    const url = new URL(location.href);
    url.searchParams.delete("did");
    history.replaceState(null, "", url);
    setTimeout(() => { if ($("did")) $("did").remove(); }, 8000);
  }
  const refreshMs = () => 1000 * Number(main.dataset.refresh || 0);
  if (!isOverview && !refreshMs()) return; /* as it was loaded: a question, or a refusal's reason */
  setInterval(() => {
    if (document.hidden || isOver) return;
    if (!lostAt) tick();
    if (heardAt && Date.now() - heardAt > 3 * everyMs + 2000) {
      lost();
      if (source && Date.now() - heardAt > 6 * everyMs + 10000) { heardAt = Date.now(); open(); }
    }
    if (!lostAt && refreshMs() && Date.now() - refreshedAt > refreshMs()) soon();
  }, 1000);
  /* Who does not look costs nothing. */
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { close(); lostAt = 0; } else { open(); soon(); }
  });
  if (!document.hidden) open();
})();
