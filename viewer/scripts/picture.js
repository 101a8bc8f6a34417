// The screenshot of a step: where the action lands, and the attention on it as a heat map.

class Picture {
  constructor(source) {
    this.source = source;
    this.image = h("img", { class: "screen", alt: "", onload: () => this.image.classList.toggle("small", this.image.naturalWidth < 300) });
    this.canvas = h("canvas", { class: "heat", "aria-hidden": "true" });
    this.marks = s("svg", { class: "marks", viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" });
    this.frame = h("div", { class: "frame" }, this.image, this.canvas, this.marks);
    this.caption = h("figcaption", { class: "soft" });
    const slider = h("input", { type: "range", min: 0, max: 100, value: 65, oninput: () => this.#fade(slider.value) });
    this.slider = slider;
    this.heat = h("label", { class: "slider" }, "Attention on the picture", slider);
    this.element = h("figure", { class: "picture" }, this.frame, this.caption, this.heat);
    this.#fade(65);
  }

  // `place`: {point, to, box} of the action, or null.
  show(step, place, words) {
    const address = step.screen && this.source.screen(step.screen);
    this.element.hidden = !step.screen;
    this.frame.hidden = !address;
    if (address && this.image.getAttribute("src") !== address) this.image.src = address;
    this.image.alt = `Screenshot before step ${step.step}${step.app ? `, app ${step.app}` : ""}`;
    this.caption.replaceChildren(address ? foreign([step.app && `App: ${step.app}`, words].filter(Boolean).join(" · ")) : "The screenshot is not in this page.");
    this.marks.replaceChildren(...this.#drawn(place));
    this.colour(null, null);
  }

  #drawn(place) {
    if (!place) return [];
    const [x, y] = place.point.map((part) => 100 * part);
    const found = [];
    if (place.box) {
      const [left, top, right, bottom] = place.box.map((part) => 100 * part);
      found.push(s("rect", { class: "hit", x: left, y: top, width: right - left, height: bottom - top }));
    }
    if (place.to) {
      const [toX, toY] = place.to.map((part) => 100 * part);
      found.push(s("line", { class: "drag-back", x1: x, y1: y, x2: toX, y2: toY }), s("line", { class: "drag", x1: x, y1: y, x2: toX, y2: toY }));
    }
    // A line of no length with round ends stays a circle, however the picture is stretched.
    return [...found, s("path", { class: "tap-back", d: `M${x},${y}h0` }), s("path", { class: "tap", d: `M${x},${y}h0` })];
  }

  // Draws the weights of the picture's tokens; hides the heat map where there are none.
  colour(weights, values) {
    const label = weights && (weights.grids.screen ? "screen" : Object.keys(weights.grids).pop());
    this.canvas.hidden = this.heat.hidden = !label;
    if (!label) return;
    const [rows, columns] = weights.grids[label];
    const shares = weights.spans[label].flatMap(([from, to]) => [...values.subarray(from, to)]);
    const most = Math.max(...shares, 1e-12);
    Object.assign(this.canvas, { width: columns, height: rows });
    const pixels = new ImageData(columns, rows);
    shares.forEach((share, at) => {
      const part = share / most;
      pixels.data.set([255, Math.round(170 * (1 - part)), 0, Math.round(255 * Math.sqrt(part))], 4 * at);
    });
    this.canvas.getContext("2d").putImageData(pixels, 0, 0);
    const mass = shares.reduce((sum, one) => sum + one, 0);
    this.heat.title = `${rows} × ${columns} patches; ${percent(mass)} of the attention lies on the picture`;
  }

  #fade(value) {
    this.canvas.style.opacity = String(value / 100);
  }
}
