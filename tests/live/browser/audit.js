// What is wrong with the page as it is shown now, one sentence each.
const wrong = [];
const say = (what, element) => {
  const from = element ? element.outerHTML.slice(0, 160) : "";
  wrong.push(from ? `${what}: ${from}` : what);
};

// Colours, whatever notation they are computed in, as red, green, blue of 255 and alpha of 1.
const canvas = document.createElement("canvas");
canvas.width = canvas.height = 1;
const pen = canvas.getContext("2d", { willReadFrequently: true });
const known = new Map();
const colour = (text) => {
  if (!known.has(text)) {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = text;
    pen.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
    known.set(text, [r, g, b, a / 255]);
  }
  return known.get(text);
};
const over = (top, below) => {
  const mixed = [0, 1, 2].map((n) => top[n] * top[3] + below[n] * (1 - top[3]));
  return [...mixed, 1];
};
// https://www.w3.org/TR/WCAG22/#dfn-relative-luminance
const luminance = (rgb) => {
  const linear = rgb.slice(0, 3).map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
};
const contrast = (one, other) => {
  const [high, low] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (high + 0.05) / (low + 0.05);
};

const probe = document.createElement("div");
probe.style.backgroundColor = "Canvas";
document.body.append(probe);
const paper = colour(getComputedStyle(probe).backgroundColor);
probe.remove();

const background = (element) => {
  const layers = [];
  for (let one = element; one; one = one.parentElement) {
    const style = getComputedStyle(one);
    const isShape = one instanceof SVGElement && !(one instanceof SVGSVGElement);
    if (!isShape) layers.push(colour(style.backgroundColor));
  }
  return layers.reduceRight((below, top) => over(top, below), paper);
};
const opacity = (element) => {
  let all = 1;
  for (let one = element; one; one = one.parentElement) all *= Number(getComputedStyle(one).opacity);
  return all;
};
const isSeen = (element, box) =>
  box.width > 1 && box.height > 1 && box.right > 0 && box.bottom + scrollY > 0 &&
  element.checkVisibility({ visibilityProperty: true });

// The first thousand texts: a long log is more of the same.
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
let looked = 0;
while (walk.nextNode() && looked < 1000) {
  const node = walk.currentNode;
  const element = node.parentElement;
  if (!node.data.trim() || !element || element.closest("script, style, noscript, option, :disabled")) continue;
  const range = document.createRange();
  range.selectNodeContents(node);
  if (!isSeen(element, range.getBoundingClientRect()) || !isSeen(element, element.getBoundingClientRect())) continue;
  looked += 1;
  const style = getComputedStyle(element);
  const behind = background(element);
  const ink = colour(element instanceof SVGElement ? style.fill : style.color);
  const shown = over([ink[0], ink[1], ink[2], ink[3] * opacity(element)], behind);
  const size = parseFloat(style.fontSize);
  const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  const found = contrast(shown, behind);
  if (found < (isLarge ? 3 : 4.5)) {
    const of = `rgb(${shown.map(Math.round).slice(0, 3)}) on rgb(${behind.map(Math.round).slice(0, 3)})`;
    say(`contrast ${found.toFixed(2)} of ${of} at ${JSON.stringify(node.data.trim().slice(0, 40))}`, element);
  }
}
if (looked === 0) say("no text is seen");

// Structure.
if (!document.documentElement.lang) say("html has no lang");
if (!document.title.trim()) say("no title");
if (document.compatMode !== "CSS1Compat") say("no doctype");
const only = (selector, what) => {
  const count = document.querySelectorAll(selector).length;
  if (count !== 1) say(`${count} of ${what}`);
};
only("h1", "h1");
only("main", "main");
only("body > header, [role=banner]", "header");
const headings = [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")];
headings.reduce((before, heading) => {
  const level = Number(heading.tagName[1]);
  if (level > before + 1) say(`a heading of level ${level} after one of level ${before}`, heading);
  if (!heading.textContent.trim()) say("an empty heading", heading);
  return level;
}, 0);
const ids = new Set();
for (const element of document.querySelectorAll("[id]")) {
  if (ids.has(element.id)) say(`id ${element.id} twice`, element);
  ids.add(element.id);
}
for (const name of ["aria-labelledby", "aria-describedby", "aria-controls", "for"]) {
  for (const element of document.querySelectorAll(`[${name}]`)) {
    for (const id of element.getAttribute(name).split(/\s+/)) {
      if (!document.getElementById(id)) say(`${name} names ${id}, which is not there`, element);
    }
  }
}
for (const image of document.querySelectorAll("img")) if (!image.hasAttribute("alt")) say("an image without alt", image);
for (const image of document.querySelectorAll("svg")) {
  const isNamed = image.getAttribute("aria-label") || image.getAttribute("aria-labelledby");
  // One that is made of links and words says itself what it is.
  if (image.getAttribute("aria-hidden") !== "true" && !isNamed && !image.querySelector("a text")) {
    say("a drawing without a name", image);
  }
}
for (const table of document.querySelectorAll("table")) {
  if (!table.querySelector("th")) say("a table without headings", table);
}
for (const element of document.querySelectorAll("[style]")) say("a style of its own", element);
if (document.documentElement.scrollWidth > document.documentElement.clientWidth) {
  const wide = [...document.body.querySelectorAll("*")].find((one) => {
    for (let above = one.parentElement; above; above = above.parentElement) {
      if (getComputedStyle(above).overflowX !== "visible") return false;
    }
    return one.getBoundingClientRect().right > document.documentElement.clientWidth + 1;
  });
  say(`sideways scroll at ${innerWidth} wide`, wide);
}
return wrong;
