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
    this.views = h("div", { class: "views", role: "group", "aria-label": "Frames" });
    this.element = h("figure", { class: "picture" }, this.frame, this.views, this.caption, this.heat);
    this.#fade(65);
  }

  // `place`: {point, to, box} of the action, or null.
  show(step, place, words) {
    this.element.hidden = !step.screen;
    this.caption.replaceChildren(foreign([step.app && `App: ${step.app}`, words].filter(Boolean).join(" · ")));
    this.marks.replaceChildren(...this.#drawn(place));
    this.weights = null;
    // A step that watches a recording has several pictures; each is a span of the prompt.
    const frames = step.frames.map((digest, at) => ({ label: `frame-${at + 1}`, digest, name: `Frame ${at + 1}` }));
    const views = frames.length ? frames : [{ label: "screen", digest: step.screen, name: "Screenshot" }];
    this.views.replaceChildren(...(frames.length < 2 ? [] : views.map((view) => h("button", { type: "button", onclick: () => this.#view(view, step) }, view.name))));
    this.#view(views[views.length - 1], step);
  }

  #view(view, step) {
    const address = view.digest && this.source.screen(view.digest);
    this.frame.classList.toggle("missing", !address);
    if (address && this.image.getAttribute("src") !== address) this.image.src = address;
    this.image.alt = address ? `${view.name} before step ${step.step}${step.app ? `, app ${step.app}` : ""}` : "The screenshot is not in this page";
    for (const button of this.views.children) button.setAttribute("aria-pressed", String(button.textContent === view.name));
    this.label = view.label;
    this.colour(this.weights, this.values);
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
    Object.assign(this, { weights, values });
    const label = weights?.grids[this.label] ? this.label : null;
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
