// The page of a run: the list of steps, the step that is shown, what happened over the run, keys, and live updates.

const POLL = 1500; // milliseconds

class RunPage {
  constructor(source) {
    this.source = source;
    this.at = 0;
    this.view = new StepView(source);
    this.speed = 1;
  }

  async start() {
    this.record = await this.source.record();
    const wanted = /^#step-(\d+)$/.exec(location.hash);
    this.at = wanted ? this.#indexOf(Number(wanted[1])) : 0;
    byId("step").append(this.#stepper(), this.view.element);
    if (this.source.forks) byId("fork").append(forkForm(this));
    roving(byId("timeline"), "button");
    document.addEventListener("keydown", (event) => this.#key(event));
    window.addEventListener("hashchange", () => {
      const to = /^#step-(\d+)$/.exec(location.hash);
      if (to) this.go(this.#indexOf(Number(to[1])));
    });
    let width = 0;
    new ResizeObserver(([entry]) => {
      if (Math.abs(entry.contentRect.width - width) < 2) return;
      width = entry.contentRect.width;
      this.#charts();
    }).observe(byId("charts"));
    this.#draw();
    if (this.source.live) this.#follow();
  }

  #indexOf(step) {
    return Math.max(this.record.steps.findIndex((one) => one.step === step), 0);
  }

  #draw() {
    const { record } = this;
    byId("summary").replaceChildren(...summary(record).flat().filter(Boolean));
    this.items = record.steps.map((step, at) => this.#item(step, at));
    byId("timeline").replaceChildren(...this.items.map((button) => h("li", {}, button)));
    this.select.replaceChildren(...record.steps.map((step, at) => h("option", { value: at }, `Step ${step.step}: ${told(step).slice(0, 60)}`)));
    byId("no-steps").hidden = record.steps.length > 0;
    byId("step").hidden = byId("over").hidden = record.steps.length === 0;
    byId("corrections").replaceChildren(...(record.corrections.length
      ? corrections(record, (step) => this.go(this.#indexOf(step), true))
      : [h("p", { class: "hint" }, "No controller corrected anything in this run.")]));
    const planned = plans(record);
    byId("plan-section").hidden = !planned;
    byId("plan").replaceChildren(...(planned ?? []).flat().filter(Boolean));
    byId("about").replaceChildren(about(record));
    this.#charts();
    this.go(Math.min(this.at, record.steps.length - 1));
  }

  #item(step, at) {
    const attempts = step.events.filter((event) => event.what === "attempt");
    const alarms = attempts.flatMap((event) => event.readings).filter((reading) => reading.alarm).length;
    const corrective = step.events.filter((event) => event.what === "decision" && event.corrective).map((event) => event.kind);
    return h("button", { type: "button", onclick: () => this.go(at) },
      h("span", { class: "number" }, step.step),
      foreign(told(step), "span", { class: "what" }),
      h("span", { class: "badges" }, alarms > 0 && badge(`▲ ${alarms}`, "alarm"), [...new Set(corrective)].map((kind) => badge(kind)), step.act && step.act.outcome !== "done" && badge(step.act.outcome, "bad")));
  }

  #charts() {
    const { record } = this;
    if (!record?.steps.length) return;
    const { sensors, spans } = series(record);
    const width = Math.max(Math.round(byId("charts").clientWidth / (byId("charts").clientWidth > 700 ? 2 : 1)) - 70, 160);
    const common = { steps: record.steps.length, width, onStep: (at) => this.go(at, true) };
    this.drawn = [
      ...[...sensors].map(([title, points]) => chart({ ...common, title, points, format: figure, threshold: points.map((one) => one.threshold).filter((one) => one !== null).pop() ?? null })),
      ...[...spans].map(([title, points]) => chart({ ...common, title: `attention on ${title}`, points, format: percent, threshold: null })),
    ];
    byId("charts").replaceChildren(...this.drawn.map((one) => one.element));
    if (!this.drawn.length) byId("charts").replaceChildren(h("p", { class: "hint" }, "No sensor judged an attempt of this run."));
    this.drawn.forEach((one) => one.move(this.at));
  }

  go(at, scroll = false) {
    if (!this.record.steps[at]) return;
    this.at = at;
    const step = this.record.steps[at];
    this.items.forEach((button, index) => {
      button.setAttribute("tabindex", index === at ? "0" : "-1");
      if (index === at) button.setAttribute("aria-current", "step");
      else button.removeAttribute("aria-current");
    });
    const box = byId("timeline").parentElement;
    const item = this.items[at];
    if (item.offsetTop < box.scrollTop || item.offsetTop + item.offsetHeight > box.scrollTop + box.clientHeight) box.scrollTop = item.offsetTop - 80;
    this.select.value = String(at);
    this.previous.disabled = at === 0;
    this.next.disabled = at === this.record.steps.length - 1;
    this.position.textContent = `${at + 1} of ${this.record.steps.length}`;
    this.view.show(this.record, at);
    this.drawn?.forEach((one) => one.move(at));
    this.onStep?.(step);
    history.replaceState(null, "", `#step-${step.step}`);
    if (scroll) byId("step").scrollIntoView({ block: "start" });
  }

  #stepper() {
    const button = (text, name, onclick) => h("button", { type: "button", "aria-label": name, title: name, onclick }, text);
    this.previous = button("←", "Previous step (k)", () => this.go(this.at - 1));
    this.next = button("→", "Next step (j)", () => this.go(this.at + 1));
    this.play = button("▶ Play", "Play the steps (space)", () => this.toggle());
    this.select = h("select", { "aria-label": "Step", onchange: (event) => this.go(Number(event.target.value)) });
    this.position = h("span", { class: "soft nowrap", role: "status" });
    const speeds = [0.5, 1, 2, 4].map((one) => h("option", { value: one, selected: one === 1 }, `${one} ×`));
    const speed = h("select", { "aria-label": "Speed", onchange: (event) => { this.speed = Number(event.target.value); } }, speeds);
    const help = button("?", "Keys", () => byId("help").showModal());
    return h("div", { class: "stepper" }, this.previous, this.next, this.select, this.position, this.play, speed, help);
  }

  toggle() {
    const playing = !this.timer;
    clearTimeout(this.timer);
    this.timer = null;
    this.play.textContent = playing ? "❚❚ Pause" : "▶ Play";
    if (!playing) return;
    const tick = () => {
      if (this.at >= this.record.steps.length - 1) return this.toggle();
      this.go(this.at + 1);
      this.timer = setTimeout(tick, 1000 / this.speed);
      return undefined;
    };
    if (this.at >= this.record.steps.length - 1) this.go(0);
    this.timer = setTimeout(tick, 1000 / this.speed);
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
    if (event.target.closest?.("input, select, textarea")) return;
    if (event.key.length > 1 && event.target.closest?.("pre, .scroll")) return; // the arrows scroll there
    const last = this.record.steps.length - 1;
    const alarm = (move) => {
      for (let at = this.at + move; at >= 0 && at <= last; at += move) {
        if (this.items[at].querySelector(".badge.alarm")) return this.go(at);
      }
      return undefined;
    };
    const keys = {
      j: () => this.go(this.at + 1), ArrowRight: () => this.go(this.at + 1),
      k: () => this.go(this.at - 1), ArrowLeft: () => this.go(this.at - 1),
      Home: () => this.go(0), End: () => this.go(last), n: () => alarm(1), p: () => alarm(-1),
      "?": () => byId("help").showModal(),
      " ": event.target.closest?.("button, a, summary") ? null : () => this.toggle(),
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  }

  // Asks for news while the run goes on. Whoever looks at the last step is taken along to the next one.
  #follow() {
    const ask = async () => {
      try {
        const news = await this.source.record();
        if (news) {
          const follows = this.at >= this.record.steps.length - 1;
          this.record = news;
          if (follows) this.at = Math.max(news.steps.length - 1, 0);
          this.#draw();
        }
        byId("live").textContent = this.record.finish ? "" : "live";
      } catch (error) {
        byId("live").textContent = `no connection: ${error.message}`;
      }
      setTimeout(ask, this.record.finish ? 10 * POLL : POLL);
    };
    setTimeout(ask, POLL);
  }
}

// What happened in a step, in one line.
function told(step) {
  if (step.act) return step.act.words || step.act.error || "no action";
  const attempt = step.events.filter((event) => event.what === "attempt").pop();
  return attempt?.words || (step.events.some((event) => event.what === "error") ? "error" : "…");
}

const served = byId("source");
const page = new RunPage(served ? new ServedSource(JSON.parse(served.textContent)) : new EmbeddedSource());
page.start().then(
  () => requestAnimationFrame(() => {
    document.documentElement.setAttribute("data-ready-at", performance.now().toFixed(1));
    document.documentElement.setAttribute("data-ready", "");
  }),
  (error) => {
    byId("summary").replaceChildren(h("h1", {}, "This run can't be shown"), foreign(error.message, "p"));
    document.documentElement.setAttribute("data-ready", "failed");
  },
);
