// What pages do beyond being read: they follow what changes, and times grow older. Without it nothing is missing.
"use strict";

(() => {
  // Milliseconds: between two looks at the page, what they are spread over, and before it is tried again.
  const APART = 1000;
  const SPREAD = 1000;
  const RETRY = 2000;
  const RETRY_MOST = 60000;

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

  // A form is of the showing of the page in which it was first seen.
  function keepTyped(old, fresh) {
    const fields = fresh.querySelectorAll("input[name=once]");
    old.querySelectorAll("input[name=once]").forEach((field, at) => fields[at]?.setAttribute("value", field.value));
  }

  // The element itself stays, so that a live region is still the one that was being listened to.
  function swap(old, fresh) {
    for (const details of old.querySelectorAll("details[id]")) {
      const same = fresh.querySelector(`#${CSS.escape(details.id)}`);
      if (same) same.open = details.open;
    }
    keepTyped(old, fresh);
    if (old.isEqualNode(fresh)) return;
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    const path = focused && (focused.id ? `#${CSS.escape(focused.id)}` : focused.getAttribute("href") && `[href="${CSS.escape(focused.getAttribute("href"))}"]`);
    const place = path ? [...old.querySelectorAll(path)].indexOf(focused) : -1;
    for (const name of old.getAttributeNames()) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    for (const name of fresh.getAttributeNames()) old.setAttribute(name, fresh.getAttribute(name));
    const ticked = [...old.querySelectorAll("input[type=checkbox][id]:checked")].map((box) => box.id);
    old.replaceChildren(...fresh.childNodes);
    for (const id of ticked) {
      const box = old.querySelector(`#${CSS.escape(id)}`);
      if (box) box.checked = true;
    }
    if (path) old.querySelectorAll(path)[place]?.focus({ preventScroll: true });
  }

  function typing() {
    return document.activeElement?.closest("[data-part] form") && document.activeElement.matches("input, select, textarea");
  }

  // Whether the page is as it should be now; if not, it is tried again.
  async function refresh() {
    if (typing()) return false;
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, credentials: "same-origin" });
    if (!answer.ok || typing()) return false;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const old of document.querySelectorAll("[data-part]")) {
      const same = fresh.querySelector(`[data-part="${CSS.escape(old.dataset.part)}"]`);
      if (same) swap(old, same);
      else old.replaceChildren();
    }
    // A log that has come into being is followed by a script of its own, from the beginning.
    if (fresh.querySelector("#log") && !document.querySelector("#log")) {
      location.reload();
      return true;
    }
    // What has come into being since this page was made is put where it belongs: behind what it follows.
    for (const part of fresh.querySelectorAll("main > [data-part]")) {
      if (document.querySelector(`[data-part="${CSS.escape(part.dataset.part)}"]`)) continue;
      const before = part.previousElementSibling?.dataset.part;
      const place = before && document.querySelector(`[data-part="${CSS.escape(before)}"]`);
      if (place) place.after(part);
    }
    document.title = fresh.title;
    tick();
    return true;
  }

  function follow() {
    if (!document.querySelector("main[data-follow]") || !("EventSource" in window)) return;
    const isList = document.querySelector("[data-part=list]") !== null;
    let due = 0;
    let dueAt = 0;
    let last = 0;
    let retry = RETRY;
    let source = null;
    let isOver = false;

    // All who look at one page hear of a change at once: they do not ask for the page at once.
    const later = (wait = 0) => {
      const at = Date.now() + Math.max(wait, last + APART - Date.now(), 0) + Math.random() * SPREAD;
      if (due && dueAt <= at) return;
      clearTimeout(due);
      dueAt = at;
      due = setTimeout(async () => {
        due = 0;
        last = Date.now();
        if (await refresh().catch(() => false)) retry = RETRY;
        else later(next());
      }, at - Date.now());
    };
    const next = () => {
      const now = retry;
      retry = Math.min(retry * 2, RETRY_MOST);
      return now;
    };

    // A browser has few connections to one server for all its tabs: one in the background gives its own back.
    const close = () => {
      source?.close();
      source = null;
    };
    const open = () => {
      if (source || isOver || document.hidden) return;
      source = new EventSource(location.href);
      source.addEventListener("now", () => later());
      source.addEventListener("build", (event) => {
        later();
        if (isList || !JSON.parse(event.data).ended) return;
        isOver = true;
        close();
      });
      source.addEventListener("error", () => {
        // The browser tries again by itself, but not after a refusal.
        if (source?.readyState !== EventSource.CLOSED) return;
        close();
        setTimeout(open, next());
      });
    };
    const again = () => {
      if (document.hidden) return close();
      if (!source && !isOver) later();
      open();
    };
    document.addEventListener("visibilitychange", again);
    addEventListener("pagehide", close);
    addEventListener("pageshow", (event) => {
      if (event.persisted) again();
    });
    open();
  }

  tick();
  setInterval(tick, 10000);
  follow();
})();
