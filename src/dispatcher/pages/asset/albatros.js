// What pages do beyond being read: they follow what changes, and times grow older. Without it nothing is missing.
"use strict";

(() => {
  const APART = 1000;

  const units = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];

  function ago(seconds) {
    if (seconds < 10) return "just now";
    const [size, name] = units.find(([size]) => seconds >= size);
    const count = Math.floor(seconds / size);
    return `${count} ${name}${count === 1 ? "" : "s"} ago`;
  }

  function tick() {
    for (const time of document.querySelectorAll("time[data-ago]")) {
      const text = ago((Date.now() - Date.parse(time.dateTime)) / 1000);
      if (time.textContent !== text) time.textContent = text;
    }
  }

  // The element itself stays, so that a live region is still the one that was being listened to.
  function swap(old, fresh) {
    for (const details of old.querySelectorAll("details[id]")) {
      const same = fresh.querySelector(`#${CSS.escape(details.id)}`);
      if (same) same.open = details.open;
    }
    if (old.isEqualNode(fresh)) return;
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    const path = focused && (focused.id ? `#${CSS.escape(focused.id)}` : focused.getAttribute("href") && `[href="${CSS.escape(focused.getAttribute("href"))}"]`);
    for (const name of old.getAttributeNames()) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    for (const name of fresh.getAttributeNames()) old.setAttribute(name, fresh.getAttribute(name));
    old.replaceChildren(...fresh.childNodes);
    if (path) old.querySelector(path)?.focus({ preventScroll: true });
  }

  function typing() {
    return document.activeElement?.closest("[data-part] form") && document.activeElement.matches("input, select, textarea");
  }

  async function refresh() {
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, credentials: "same-origin" });
    if (!answer.ok || typing()) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const old of document.querySelectorAll("[data-part]")) {
      const same = fresh.querySelector(`[data-part="${CSS.escape(old.dataset.part)}"]`);
      if (same) swap(old, same);
      else old.replaceChildren();
    }
    // A log that has come into being is followed by a script of its own, from the beginning.
    if (fresh.querySelector("#log") && !document.querySelector("#log")) return location.reload();
    // What has come into being since this page was made is put where it belongs: behind what it follows.
    for (const part of fresh.querySelectorAll("main > [data-part]")) {
      if (document.querySelector(`[data-part="${CSS.escape(part.dataset.part)}"]`)) continue;
      const before = part.previousElementSibling?.dataset.part;
      const place = before && document.querySelector(`[data-part="${CSS.escape(before)}"]`);
      if (place) place.after(part);
    }
    document.title = fresh.title;
    tick();
  }

  function follow() {
    if (!document.querySelector("main[data-follow]") || !("EventSource" in window)) return;
    let due = 0;
    let last = 0;
    const events = new EventSource(location.href);
    const later = () => {
      if (due) return;
      due = setTimeout(() => {
        due = 0;
        last = Date.now();
        refresh().catch(() => {});
      }, Math.max(0, last + APART - Date.now()));
    };
    events.addEventListener("build", later);
    addEventListener("pagehide", () => events.close());
  }

  tick();
  setInterval(tick, 10000);
  follow();
})();
