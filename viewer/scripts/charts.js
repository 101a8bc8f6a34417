// Small charts over the steps: one line each, with its threshold; alarms are triangles, other values are dots.

const HIGH = 96;
const PAD = { left: 6, right: 6, top: 10, bottom: 8 };

// `points`: {at: the step's index, attempt, step, value, alarm}; `threshold`: the last one, or null; `width`: in pixels.
function chart({ title, points, steps, threshold, format, onStep, width }) {
  const values = points.map((point) => point.value).concat(threshold ?? []);
  let low = Math.min(...values);
  let high = Math.max(...values);
  if (low === high) [low, high] = [low - Math.abs(low || 1) / 2, high + Math.abs(high || 1) / 2];
  const x = (at) => PAD.left + ((at + 0.5) / steps) * (width - PAD.left - PAD.right);
  const y = (value) => PAD.top + ((high - value) / (high - low)) * (HIGH - PAD.top - PAD.bottom);
  const place = (point) => x(point.at + Math.min(point.attempt, 3) * 0.2);
  const alarms = points.filter((point) => point.alarm).length;
  const cursor = s("rect", { class: "cursor", y: 0, height: HIGH, width: Math.max(width / steps, 3), x: -99 });
  const drawing = s(
    "svg",
    { viewBox: `0 0 ${width} ${HIGH}`, role: "img",
      "aria-label": `${title}: ${plural(points.length, "value")} from ${format(low)} to ${format(high)}, ` +
        `${plural(alarms, "alarm")}` },
    cursor,
    threshold !== null && s("line", { class: "threshold", x1: 0, x2: width, y1: y(threshold), y2: y(threshold) }),
    points.length > 1 && s("polyline", { class: "line", points: points.map((p) => `${place(p)},${y(p.value)}`).join(" ") }),
    points.map((p) => mark(place(p), y(p.value), p, format)),
  );
  drawing.addEventListener("click", (event) => {
    const box = drawing.getBoundingClientRect();
    onStep(Math.min(Math.max(Math.floor(((event.clientX - box.left) / box.width) * steps), 0), steps - 1));
  });
  const range = h("div", { class: "range" }, h("span", {}, format(high)), h("span", {}, format(low)));
  const head = h(
    "figcaption", {},
    foreign(title, "strong"),
    threshold !== null && h("span", { class: "soft" }, ` threshold ${format(threshold)}`),
    alarms > 0 && badge(plural(alarms, "alarm"), "alarm"),
  );
  const element = h("figure", { class: "chart" }, head, h("div", { class: "plot" }, drawing, range));
  return { element, move: (at) => cursor.setAttribute("x", x(at) - Math.max(width / steps, 3) / 2) };
}

function mark(x, y, point, format) {
  const told = s("title", {}, `step ${point.step}: ${format(point.value)}${point.alarm ? ", alarm" : ""}`);
  if (!point.alarm) return s("ellipse", { class: "dot", cx: x, cy: y, rx: 2.5, ry: 2.5 }, told);
  return s("path", { class: "alarm-mark", d: `M${x - 6},${y + 5}L${x},${y - 6}L${x + 6},${y + 5}Z` }, told);
}

// The readings of every sensor and the mass of every span, in the order in which they first appear.
function series(record) {
  const sensors = new Map();
  const spans = new Map();
  const add = (map, name, point) => (map.get(name) ?? map.set(name, []).get(name)).push(point);
  record.steps.forEach((step, at) => {
    for (const event of step.events) {
      if (event.what !== "attempt" || event.candidate !== null) continue;
      const place = { at, step: step.step, attempt: event.attempt };
      for (const reading of event.readings) {
        if (reading.judged) add(sensors, reading.sensor, { ...place, ...reading });
      }
      for (const [span, value] of Object.entries(event.mass)) add(spans, span, { ...place, value, alarm: false });
    }
  });
  return { sensors, spans };
}
