// The list of runs and evaluations: searched, filtered, sorted, and renewed while something happens.

const AT_ONCE = 100;
const POLL = 2000; // milliseconds

const COLUMNS = [
  ["goal", "Goal", (run) => run.goal.toLowerCase()],
  ["ended", "Ending", (run) => run.ended],
  ["steps", "Steps", (run) => run.steps],
  ["tokens", "Tokens", (run) => run.tokens],
  ["seconds", "Time", (run) => run.seconds],
  ["alarms", "Alarms", (run) => total(run.alarms)],
  ["corrections", "Corrections", (run) => total(run.corrections)],
  ["model", "Model", (run) => run.model],
  ["modified", "Changed", (run) => run.modified],
];
const NUMBERS = new Set(["steps", "tokens", "seconds"]);

function total(counts) {
  return Object.values(counts).reduce((sum, one) => sum + one, 0);
}

function ago(time) {
  const passed = Math.max(Date.now() / 1000 - time, 0);
  const [size, name] = [[86400, "d"], [3600, "h"], [60, "min"]].find(([one]) => passed >= one) ?? [1, "s"];
  return `${Math.floor(passed / size)} ${name} ago`;
}

class List {
  constructor() {
    this.form = byId("filters");
    this.sort = { by: "modified", down: true };
    this.shown = AT_ONCE;
    this.version = "";
    this.chosen = new Set();
    this.data = { runs: [], evaluations: [] };
    let waiting = null;
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", (event) => {
      this.shown = AT_ONCE;
      this.#remember();
      if (event.target.name !== "text") return this.#draw();
      clearTimeout(waiting);
      waiting = setTimeout(() => this.ask(true), 150);
      return undefined;
    });
    byId("more").addEventListener("click", () => {
      this.shown += AT_ONCE;
      this.#draw();
    });
    byId("compare").addEventListener("click", () => {
      const [before, after] = [...this.chosen];
      location.assign(`/compare?before=${encodeURIComponent(before)}&after=${encodeURIComponent(after)}`);
    });
    byId("heads").replaceChildren(...COLUMNS.map(([name, title]) => h("th", { scope: "col", class: NUMBERS.has(name) ? "n" : "", "data-column": name }, h("button", { type: "button", onclick: () => this.#sortBy(name) }, title))));
  }

  async start() {
    this.wanted = new URLSearchParams(location.hash.slice(1));
    this.form.elements.text.value = this.wanted.get("text") ?? "";
    await this.ask(true);
    const again = async () => {
      await this.ask(false);
      setTimeout(again, POLL);
    };
    setTimeout(again, POLL);
  }

  async ask(fresh) {
    const text = this.form.elements.text.value;
    try {
      const answer = await fetch(`/api/library?text=${encodeURIComponent(text)}`, { headers: fresh || !this.version ? {} : { "If-None-Match": this.version } });
      byId("live").textContent = "live";
      if (answer.status === 304) return;
      this.version = answer.headers.get("ETag") ?? "";
      this.data = await answer.json();
    } catch {
      byId("live").textContent = "no connection to homeostat view";
      return;
    }
    this.#choices();
    this.#draw();
  }

  #choices() {
    const { runs } = this.data;
    const sets = {
      ended: runs.map((run) => run.ended),
      alarm: runs.flatMap((run) => Object.keys(run.alarms)),
      corrected: runs.flatMap((run) => Object.keys(run.corrections)),
      controller: runs.flatMap((run) => run.controllers),
      model: runs.map((run) => run.model).filter(Boolean),
    };
    for (const [name, values] of Object.entries(sets)) {
      const select = this.form.elements[name];
      const chosen = this.wanted.get(name) ?? select.value;
      const known = [...new Set([...values, ...(chosen ? [chosen] : [])])].sort();
      select.replaceChildren(select.options[0], ...known.map((value) => h("option", { value }, value)));
      select.value = chosen;
    }
    this.wanted = new URLSearchParams();
  }

  #remember() {
    const set = [...new FormData(this.form)].filter(([, value]) => value);
    history.replaceState(null, "", `#${new URLSearchParams(set)}`);
  }

  #sortBy(name) {
    this.sort = { by: name, down: this.sort.by === name ? !this.sort.down : !["goal", "ended", "model"].includes(name) };
    this.#draw();
  }

  #draw() {
    const { ended, alarm, corrected, controller, model } = Object.fromEntries(new FormData(this.form));
    const left = this.data.runs.filter((run) => (!ended || run.ended === ended)
      && (!alarm || run.alarms[alarm]) && (!corrected || run.corrections[corrected])
      && (!controller || run.controllers.includes(controller)) && (!model || run.model === model));
    const key = COLUMNS.find(([name]) => name === this.sort.by)[2];
    const order = (a, b) => (typeof key(a) === "string" ? key(a).localeCompare(key(b)) : key(a) - key(b));
    left.sort((a, b) => (this.sort.down ? order(b, a) : order(a, b)));
    for (const head of byId("heads").children) {
      if (head.dataset.column === this.sort.by) head.setAttribute("aria-sort", this.sort.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    byId("runs").replaceChildren(...left.slice(0, this.shown).map(row));
    byId("more").hidden = left.length <= this.shown;
    byId("more").textContent = `Show ${Math.min(left.length - this.shown, AT_ONCE)} more`;
    byId("count").textContent = `${plural(left.length, "run")}${left.length < this.data.runs.length ? ` of ${this.data.runs.length}` : ""}`;
    byId("empty").hidden = left.length > 0;
    byId("empty").textContent = this.data.runs.length || this.form.elements.text.value
      ? "No run fits. Clear the search or a filter."
      : "There is no run here yet. homeostat run --task random makes one, and it appears while it runs.";
    this.#evaluations();
  }

  #evaluations() {
    const { evaluations } = this.data;
    byId("evaluations-section").hidden = !evaluations.length;
    this.chosen = new Set([...this.chosen].filter((name) => evaluations.some((one) => one.name === name)));
    byId("evaluations").replaceChildren(...evaluations.map((one) => this.#evaluation(one)));
    byId("compare").disabled = this.chosen.size !== 2;
  }

  #evaluation(one) {
    const choose = (event) => {
      if (event.target.checked) this.chosen.add(one.name);
      else this.chosen.delete(one.name);
      byId("compare").disabled = this.chosen.size !== 2;
    };
    return h("tr", {},
      h("td", {}, h("input", { type: "checkbox", "aria-label": `Compare ${one.file}`, checked: this.chosen.has(one.name), disabled: !one.readable, onchange: choose })),
      h("td", { class: "name" }, one.readable ? h("a", { href: `/evaluations/${one.name}` }, foreign(one.file)) : foreign(one.file), one.note && foreign(one.note, "div", { class: "bad small" })),
      h("td", { class: "n" }, one.episodes ? percent(one.solved / one.episodes) : "–"),
      h("td", { class: "n" }, one.episodes),
      foreign(Object.values(one.arguments).join(", "), "td", { class: "wide" }),
      h("td", { class: "nowrap" }, ago(one.modified)));
  }
}

const GOOD = new Set(["success", "finished"]);
const PLAIN = new Set(["running", "asked", "paused", "impossible", "uncertain", "interrupted"]);

function row(run) {
  const kind = run.ended === "running" ? "good" : run.success || (run.success === null && GOOD.has(run.ended)) ? "good" : PLAIN.has(run.ended) ? "" : "bad";
  const badges = (counts) => h("div", { class: "many" }, Object.entries(counts).map(([name, number]) => badge(`${name} ${number}`)));
  return h("tr", {},
    h("td", { class: "goal" }, h("a", { href: `/runs/${run.name}` }, foreign(run.goal || "(no goal)"), foreign(run.forked_from ? `${run.run} · forked from ${run.forked_from}` : run.run, "span", { class: "run" })), run.note && foreign(run.note, "div", { class: "note" })),
    h("td", { class: "nowrap" }, badge(run.ended === "running" ? "● running" : run.ended, kind)),
    h("td", { class: "n" }, count.format(run.steps)),
    h("td", { class: "n" }, count.format(run.tokens)),
    h("td", { class: "n" }, seconds(run.seconds)),
    h("td", {}, badges(run.alarms)),
    h("td", {}, badges(run.corrections)),
    foreign(run.model, "td", { class: "name" }),
    h("td", { class: "nowrap" }, ago(run.modified)));
}

const list = new List();
list.start().then(() => document.documentElement.setAttribute("data-ready", ""));
