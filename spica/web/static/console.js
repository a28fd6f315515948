// What htmx does not do: say whether the page is live, let ages grow, and sieve a table while one types.
// The page is complete without this file.
"use strict";

(() => {
  const root = document.documentElement;
  const skew = Date.now() - Date.parse(root.dataset.now); // this clock against the service's

  const units = [[60, 1, "s"], [3600, 60, "min"], [86400, 3600, "h"], [Infinity, 86400, "d"]];
  function inWords(seconds) {
    const [, unit, word] = units.find(([limit]) => seconds < limit);
    return `${Math.floor(seconds / unit)} ${word}`;
  }

  function age() {
    const now = Date.now() - skew;
    for (const element of document.querySelectorAll("[data-age]")) {
      const seconds = (now - Date.parse(element.dataset.age)) / 1000;
      const text = seconds < 0 ? `in ${inWords(-seconds)}` : `${inWords(seconds)} ago`;
      if (element.textContent !== text) element.textContent = text;
    }
    for (const element of document.querySelectorAll("[data-due]")) {
      const ahead = (Date.parse(element.dataset.due) - now) / 1000;
      const text = ahead > 0 ? `in ${inWords(ahead)}` : ahead > -120 ? "now" : `${inWords(-ahead)} late`;
      if (element.textContent !== text) element.textContent = text;
    }
  }

  function say(live) {
    const element = document.getElementById("freshness");
    if (!element || element.dataset.live === live) return;
    element.dataset.live = live;
    element.textContent = live === "yes" ? "live" : "not live, reconnecting";
  }

  document.addEventListener("htmx:sse:after:connection", () => say("yes"));
  document.addEventListener("htmx:sse:error", () => say("no"));
  document.addEventListener("htmx:sse:close", () => say("no"));

  function sieve(event) {
    const field = event.target.closest("[data-sieve]");
    if (!field) return;
    const wanted = field.value.trim().toLowerCase();
    for (const row of document.querySelectorAll(`#${CSS.escape(field.dataset.sieve)} tbody tr`)) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
    }
  }
  document.addEventListener("input", sieve);

  age();
  setInterval(age, 1000);
})();
