// Keeps the part of the page with id "fresh" up to date. Without this script the page works, and is as old as it is.
"use strict";

(() => {
  const EVERY_MS = 5000;
  const EVERY_MS_WHILE_TOLD = 60000; // the server says when something changes
  const SHARE = 20; // a view that takes long to make is asked for less often: a twentieth of the time at most
  const region = document.getElementById("fresh");
  if (!region || !window.fetch) return;

  let shown = null;
  let paused = false;
  let failures = 0;
  let timer = 0;
  let due = 0; // when the timer ends
  let busyUntil = 0; // a view that takes long to make is not asked for again at once
  let stream = null;

  const note = document.createElement("p");
  note.className = "live";
  const words = document.createElement("span");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet";
  button.textContent = "Pause";
  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? "Go on" : "Pause";
    say();
    listen();
    if (!paused) refreshAfter(0);
  });
  note.append(words, " ", button);
  region.after(note);

  function say() {
    if (paused) words.textContent = "Not updating.";
    else if (failures > 1) words.textContent = "The server does not answer; trying again.";
    else words.textContent = "Updates by itself.";
  }

  // Don't pull the page away from somebody who is marking text in it, or typing.
  function isInUse() {
    const selection = window.getSelection();
    if (selection && !selection.isCollapsed && region.contains(selection.anchorNode)) return true;
    const focused = document.activeElement;
    return region.contains(focused) && focused.matches("input:not([type=checkbox]), select, textarea");
  }

  // The focused link or scrolled table is replaced by its like.
  function replace(html) {
    const focused = region.contains(document.activeElement) ? document.activeElement : null;
    const address = focused && focused.getAttribute("href");
    const opened = [...region.querySelectorAll("details[open]")].map((each) => each.id);
    const scrolls = [...region.querySelectorAll("[tabindex]")].map((each) => each.scrollLeft);
    const id = focused && focused.id;
    const chosen = new Set([...region.querySelectorAll("input[type=checkbox]:checked")].map((each) => each.value));
    region.innerHTML = html;
    region.querySelectorAll("input[type=checkbox]").forEach((each) => { each.checked = chosen.has(each.value); });
    if (id && document.getElementById(id)) document.getElementById(id).focus({ preventScroll: true });
    opened.forEach((id) => { const again = document.getElementById(id); if (again) again.open = true; });
    region.querySelectorAll("[tabindex]").forEach((each, index) => { each.scrollLeft = scrolls[index] || 0; });
    if (address) {
      const again = region.querySelector(`a[href="${CSS.escape(address)}"]`);
      if (again) again.focus({ preventScroll: true });
    }
  }

  function refreshAfter(milliseconds) {
    const at = Math.max(performance.now() + milliseconds, busyUntil);
    window.clearTimeout(timer);
    due = at;
    timer = window.setTimeout(refresh, at - performance.now());
  }

  async function refresh() {
    const began = performance.now();
    due = Infinity;
    if (!paused && !document.hidden && !isInUse()) await fetchAnew();
    const took = performance.now() - began;
    busyUntil = performance.now() + Math.min(SHARE * took, 30000);
    const every = isTold() ? EVERY_MS_WHILE_TOLD : EVERY_MS;
    if (due === Infinity) refreshAfter(every);
  }

  // Server-sent events say that something changed; without them, the page asks again and again.
  function isTold() {
    return stream !== null && stream.readyState === EventSource.OPEN;
  }

  function listen() {
    const wanted = region.dataset.topic && window.EventSource && !document.hidden && !paused;
    if (wanted && stream === null) {
      stream = new EventSource(`/events?topic=${encodeURIComponent(region.dataset.topic)}`);
      stream.addEventListener("message", () => refreshAfter(isInUse() ? EVERY_MS : 0));
      stream.addEventListener("error", () => { if (stream && stream.readyState === EventSource.CLOSED) refreshAfter(EVERY_MS); });
    } else if (!wanted && stream !== null) {
      stream.close();
      stream = null;
    }
  }

  async function fetchAnew() {
    try {
      const response = await fetch(region.dataset.fragment, { credentials: "same-origin" });
      // signed out, or the device or the first steps gave way to something else: the whole page knows what to say
      if (response.status === 401 || response.status === 404) return window.location.reload();
      if (!response.ok) throw new Error(String(response.status));
      const html = await response.text();
      failures = 0;
      if (html !== shown) {
        if (region.dataset.title && !html.includes('class="steps"')) return window.location.reload();
        replace(html);
        shown = html;
      }
    } catch (error) {
      failures += 1;
    }
    say();
  }

  say();
  refreshAfter(EVERY_MS);
  listen();
  document.addEventListener("visibilitychange", () => { listen(); refreshAfter(0); });
})();
