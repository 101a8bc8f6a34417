// Builds elements. Foreign text only ever becomes a text node, so nothing in a trace can become markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function s(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

// Text that somebody else wrote: isolated, so that right-to-left text does not reorder what stands beside it.
function foreign(text, tag = "span", attributes = {}) {
  return h(tag, { dir: "auto", ...attributes, class: `foreign ${attributes.class ?? ""}`.trim() }, String(text ?? ""));
}

function byId(id) {
  return document.getElementById(id);
}

const count = new Intl.NumberFormat("en");

function percent(share, digits = 1) {
  return share === null || share === undefined ? "–" : `${(100 * share).toFixed(digits)} %`;
}

function figure(value) {
  if (value === null || value === undefined) return "–";
  const text = Math.abs(value) >= 1e6 || (value !== 0 && Math.abs(value) < 1e-4)
    ? value.toExponential(2)
    : String(Number(value.toPrecision(4)));
  return text.replace("-", "−");
}

function seconds(value) {
  if (value >= 120) return `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
  return `${value.toFixed(value < 10 ? 2 : 1)} s`;
}

function plural(number, one, many = `${one}s`) {
  return `${count.format(number)} ${number === 1 ? one : many}`;
}

function badge(text, kind = "") {
  return h("span", { class: `badge ${kind}` }, text);
}

// A list of buttons of which one Tab stop suffices: the arrow keys move within it.
function roving(container, selector) {
  container.addEventListener("keydown", (event) => {
    const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!move) return;
    const all = [...container.querySelectorAll(selector)];
    const next = all[all.indexOf(document.activeElement) + move];
    event.preventDefault();
    event.stopPropagation();
    if (next) {
      all.forEach((one) => one.setAttribute("tabindex", one === next ? "0" : "-1"));
      next.focus();
    }
  });
}
