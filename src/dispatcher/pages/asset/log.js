// Follows the log of a build that runs, and makes its lines easy to point at. All of it can be read without.
(() => {
  "use strict";
  const section = document.querySelector("section#log");
  const box = section && section.querySelector(".log-lines");
  if (!box) return;
  const root = document.documentElement;
  root.classList.add("js");

  const LINES_MOST = 5000; // in the page: more make it slow
  const WAITING_MOST = 5000; // lines that have come and are not shown yet
  const SUMMARY_APART = 20000; // ms between two spoken summaries

  const page = section.dataset.page || section.dataset.log || "";
  const note = section.querySelector(".log-note");
  const end = section.querySelector(".log-end");

  // Wrapping is remembered, on this machine.
  const wrap = document.getElementById("log-wrap");
  const remembered = (() => {
    try { return localStorage.getItem("albatros-log-wrap"); } catch { return null; }
  })();
  section.classList.toggle("nowrap", remembered === "no");
  if (wrap) {
    wrap.checked = remembered !== "no";
    wrap.addEventListener("change", () => {
      section.classList.toggle("nowrap", !wrap.checked);
      try { localStorage.setItem("albatros-log-wrap", wrap.checked ? "yes" : "no"); } catch { /* not remembered */ }
    });
  }

  // Lines that are pointed at: #L12 or #L12-L20.
  const range = () => {
    const found = /^#L(\d+)(?:-L?(\d+))?$/.exec(location.hash);
    if (!found) return null;
    const [one, other] = [Number(found[1]), Number(found[2] || found[1])];
    return [Math.min(one, other), Math.max(one, other)];
  };
  const number = (line) => Number(line.firstElementChild.textContent);
  const lineOf = (n) => {
    const anchor = document.getElementById("L" + n);
    return anchor && anchor.parentElement;
  };
  const withFrom = (from, hash) => {
    const url = new URL(page || location.href, location.href);
    if (from) url.searchParams.set("from", from);
    url.hash = hash || "";
    return url;
  };
  const choose = () => {
    box.querySelectorAll(".l.chosen").forEach((line) => line.classList.remove("chosen"));
    const chosen = range();
    if (!chosen) return null;
    let line = lineOf(chosen[0]);
    const first = line;
    for (let n = 0; line && n < LINES_MOST && number(line) <= chosen[1]; n++, line = line.nextElementSibling) {
      if (line.classList.contains("l")) line.classList.add("chosen");
    }
    return first;
  };
  const goThere = () => {
    const chosen = range();
    if (!chosen) return;
    const first = choose();
    if (first) {
      first.scrollIntoView({ block: "center" });
      return;
    }
    const url = withFrom(Math.max(1, chosen[0] - 50), location.hash);
    // Once: a line that does not exist is not looked for for ever.
    if (page && new URL(location.href).searchParams.get("from") !== url.searchParams.get("from")) location.replace(url);
  };
  let anchor = range() && range()[0];
  box.addEventListener("click", (event) => {
    const link = event.target.closest(".l > a");
    if (!link || event.ctrlKey || event.metaKey || event.altKey || event.button) return;
    event.preventDefault();
    const n = Number(link.textContent);
    const hash = event.shiftKey && anchor && anchor !== n
      ? `#L${Math.min(anchor, n)}-L${Math.max(anchor, n)}`
      : `#L${n}`;
    if (!event.shiftKey || !anchor) anchor = n;
    // The end of a log moves on: who is sent this address is to find the same lines.
    const here = new URL(location.href);
    const first = box.querySelector(".l > a");
    if (section.dataset.page && !here.searchParams.has("from") && first && Number(first.textContent) > 1) {
      here.searchParams.set("from", first.textContent);
    }
    here.hash = hash;
    history.replaceState(null, "", here);
    choose();
  });
  addEventListener("hashchange", goThere);

  // The end, and whether the reader is there.
  const isBox = getComputedStyle(box).maxHeight !== "none";
  const scroller = isBox ? box : document.scrollingElement;
  const isAtEnd = () => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 48;
  const toEnd = () => { scroller.scrollTop = scroller.scrollHeight; };

  const lines = box.querySelectorAll(".l");
  const isWindow = new URL(location.href).searchParams.has("from");
  if (range()) goThere();
  else if (isBox || (!isWindow && (section.dataset.log || (lines.length && number(lines[0]) > 1)))) toEnd();

  if (!section.dataset.log) return;

  let following = !range();
  let next = Number(section.dataset.next) || 1;
  let count = lines.length;
  let partial = lineOf(next); // a line that had not ended when the page was made
  let source = null;
  let waiting = [];
  let waitingPart = null;
  let isDue = false;
  let summaryAt = Date.now();
  let isWaitTold = note.textContent !== ""; // in the note
  let isOver = false;
  let retry = 2000;

  const button = document.createElement("button");
  button.type = "button";
  button.className = "log-follow";
  button.textContent = "↓ Follow the end";
  button.hidden = following;
  button.addEventListener("click", () => {
    following = true;
    button.hidden = true;
    toEnd();
  });
  section.append(button);
  (isBox ? box : document).addEventListener("scroll", () => {
    following = isAtEnd();
    button.hidden = following || !source;
  }, { passive: true });

  const element = (name, text, className) => {
    const made = document.createElement(name);
    if (text) made.textContent = text;
    if (className) made.className = className;
    return made;
  };
  const lineElement = (n, line) => {
    const made = element("div", "", line.more ? "l more" : "l");
    const link = element("a", String(n));
    link.id = "L" + n;
    link.href = "#L" + n;
    made.append(link);
    if (line.time) made.append(element("time", line.time));
    if (line.source) made.append(element("b", line.source, line.source));
    const text = element("span");
    for (const [classes, words] of line.text) {
      text.append(classes ? element("span", words, classes) : words);
    }
    made.append(text);
    return made;
  };
  const skipElement = (from, to) => {
    const made = element("div", "", "log-skip");
    const link = element("a", "read them here");
    link.href = withFrom(from);
    made.append(`… ${(to - from).toLocaleString()} lines skipped, `, link);
    return made;
  };

  const dropPartial = () => {
    if (partial) {
      partial.remove();
      count--;
    }
    partial = null;
  };

  // Shows what has come, at most once a frame.
  const show = () => {
    isDue = false;
    const batch = document.createDocumentFragment();
    const isAny = waiting.length > 0;
    if (isAny || waitingPart) dropPartial();
    for (const [n, line] of waiting) {
      if (n > next) batch.append(skipElement(next, n));
      batch.append(lineElement(n, line));
      next = n + 1;
      count++;
    }
    waiting = [];
    if (waitingPart && waitingPart.first === next) {
      partial = lineElement(next, waitingPart.lines[0]);
      batch.append(partial);
      count++;
    }
    waitingPart = null;
    box.append(batch);
    trim();
    if (isAny) {
      if (range()) choose();
      if (Date.now() - summaryAt > SUMMARY_APART || isWaitTold) {
        summaryAt = Date.now();
        isWaitTold = false;
        note.textContent = count > 1 ? `${(next - 1).toLocaleString()} lines so far` : "";
      }
    }
    if (following) toEnd();
  };
  const trim = () => {
    if (count <= LINES_MOST) return;
    while (count > LINES_MOST && box.firstElementChild) {
      if (box.firstElementChild.classList.contains("l")) count--;
      box.firstElementChild.remove();
    }
    const first = box.querySelector(".l");
    if (!first) return;
    const earlier = element("div", "", "log-skip");
    const link = element("a", "Earlier lines");
    link.href = withFrom(Math.max(1, number(first) - 2000));
    earlier.append(link);
    box.prepend(earlier);
  };
  const due = () => {
    if (isDue) return;
    isDue = true;
    // A tab in the background has no frames.
    if (document.hidden) setTimeout(show, 1000);
    else requestAnimationFrame(show);
  };

  const tell = (sentence) => {
    note.textContent = sentence;
    isWaitTold = true;
  };
  // A browser has few connections to one server for all its tabs: one in the background gives its own back.
  const close = () => {
    source?.close();
    source = null;
  };
  const open = () => {
    if (source || isOver || document.hidden) return;
    if (waiting.length) show();
    const url = withFrom(next);
    url.searchParams.set("skip", "1");
    source = new EventSource(url);
    source.addEventListener("lines", (event) => {
      retry = 2000;
      const told = JSON.parse(event.data);
      const shown = waiting.length ? waiting[waiting.length - 1][0] + 1 : next;
      told.lines.forEach((line, at) => {
        if (told.first + at >= shown) waiting.push([told.first + at, line]);
      });
      if (waiting.length > WAITING_MOST) waiting = waiting.slice(-WAITING_MOST / 2);
      due();
    });
    source.addEventListener("part", (event) => {
      waitingPart = JSON.parse(event.data);
      due();
    });
    source.addEventListener("wait", (event) => {
      tell(JSON.parse(event.data).sentence);
    });
    source.addEventListener("end", (event) => {
      const told = JSON.parse(event.data);
      isOver = true;
      close();
      if (waiting.length) show();
      note.textContent = told.note || "";
      end.textContent = told.sentence;
      section.dataset.over = told.outcome || "unknown";
      button.hidden = true;
      if (following) toEnd();
    });
    source.addEventListener("error", () => {
      // The browser tries again by itself, but not after a refusal.
      if (source?.readyState !== EventSource.CLOSED) return;
      source = null;
      tell("The log is not followed at the moment; trying again.");
      setTimeout(open, retry);
      retry = Math.min(retry * 2, 60000);
    });
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
})();
