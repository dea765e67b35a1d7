// Keeps the part of the page with id "fresh" up to date. Without this script the page works, and is as old as it is.
"use strict";

(() => {
  const EVERY_MS = 5000;
  const SHARE = 20; // a view that takes long to make is asked for less often: a twentieth of the time at most
  const region = document.getElementById("fresh");
  if (!region || !window.fetch) return;

  let shown = null;
  let paused = false;
  let failures = 0;
  let timer = 0;

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
    if (!paused) refreshAfter(0);
  });
  note.append(words, " ", button);
  region.after(note);

  function say() {
    if (paused) words.textContent = "Not updating.";
    else if (failures > 1) words.textContent = "The server does not answer; trying again.";
    else words.textContent = "Updates by itself.";
  }

  // Don't pull the page away from somebody who is marking text in it.
  function isInUse() {
    const selection = window.getSelection();
    return selection && !selection.isCollapsed && region.contains(selection.anchorNode);
  }

  // The focused link or scrolled table is replaced by its like.
  function replace(html) {
    const focused = region.contains(document.activeElement) ? document.activeElement : null;
    const address = focused && focused.getAttribute("href");
    const scrolls = [...region.querySelectorAll("[tabindex]")].map((each) => each.scrollLeft);
    region.innerHTML = html;
    region.querySelectorAll("[tabindex]").forEach((each, index) => { each.scrollLeft = scrolls[index] || 0; });
    if (address) {
      const again = region.querySelector(`a[href="${CSS.escape(address)}"]`);
      if (again) again.focus({ preventScroll: true });
    }
  }

  function refreshAfter(milliseconds) {
    window.clearTimeout(timer);
    timer = window.setTimeout(refresh, milliseconds);
  }

  async function refresh() {
    const began = performance.now();
    if (!paused && !document.hidden && !isInUse()) await fetchAnew();
    refreshAfter(Math.max(EVERY_MS, SHARE * (performance.now() - began)));
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
  document.addEventListener("visibilitychange", () => refreshAfter(0));
})();
