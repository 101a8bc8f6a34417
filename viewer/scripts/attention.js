// The panel that shows where the model looked: by layers and heads, or by one token of the answer.

const NO_RECORD = "This run did not keep the attention on every token. Record it with --record-attention " +
  "(homeostat run, chat, or eval with --traces), or Agent.start(…, record_attention=True).";

class AttentionPanel {
  // `onChange(weights, values)` tells the picture what to draw; nulls where there is nothing.
  constructor(source, onChange) {
    this.source = source;
    this.onChange = onChange;
    this.chosen = {};
    this.element = h("section", { class: "attention", "aria-labelledby": "attention-title" });
  }

  async show(attempt) {
    const name = attempt?.attention;
    this.shown = name;
    this.onChange(null, null);
    const title = h("h3", { id: "attention-title" }, "Where the model looked");
    if (!attempt) return this.element.replaceChildren();
    if (!name) return this.element.replaceChildren(title, h("p", { class: "hint" }, NO_RECORD));
    let bytes = null;
    try {
      bytes = await this.source.attention(name);
    } catch {
      bytes = null;
    }
    if (this.shown !== name) return undefined; // another step was chosen while this one was loading
    if (!bytes) return this.element.replaceChildren(title, h("p", { class: "hint" }, "The attention of this call is not in this page."));
    this.weights = new Weights(bytes);
    this.choice = {
      layers: this.#kept("layers", this.weights.layers.length),
      heads: this.#kept("heads", this.weights.heads.length),
      row: null,
    };
    this.spans = h("tbody");
    this.tokens = h("div", { class: "tokens", role: "group", "aria-label": "Tokens of the prompt" });
    this.readout = h("p", { class: "readout", role: "status" });
    this.note = h("p", { class: "soft" });
    this.top = h("ol", { class: "top" });
    this.element.replaceChildren(
      title, this.#controls(), this.#answer(), this.note, this.#legend(), this.tokens, this.readout,
      h("div", { class: "pair" },
        h("div", {}, h("h4", {}, "By span"), h("table", { class: "bars" }, this.spans)),
        h("div", {}, h("h4", {}, "Most-read tokens"), this.top)),
    );
    this.#update();
    return undefined;
  }

  // The range that was chosen at an earlier step, where it fits.
  #kept(name, length) {
    const [from, to] = this.chosen[name] ?? [0, length - 1];
    return to < length ? [from, to] : [0, length - 1];
  }

  #controls() {
    const range = (name, groups) => {
      const select = (end, label) => h(
        "select", { "aria-label": `${label} ${name.slice(0, -1)}`, "data-range": `${name}-${end}`, onchange: (event) => {
          const [from, to] = this.choice[name];
          const value = Number(event.target.value);
          this.choice[name] = end ? [Math.min(from, value), value] : [value, Math.max(to, value)];
          this.chosen[name] = this.choice[name];
          this.choice.row = null;
          this.#update();
        } },
        groups.map(([first, last], at) => h("option", { value: at, selected: this.choice[name][end] === at }, first === last ? first : `${first}–${last}`)),
      );
      return h("fieldset", {}, h("legend", {}, name === "layers" ? "Layers" : "Heads"), select(0, "First"), " to ", select(1, "Last"));
    };
    this.controls = h("div", { class: "controls" }, range("layers", this.weights.layers), range("heads", this.weights.heads));
    return this.controls;
  }

  #answer() {
    const press = (row) => {
      this.choice.row = row;
      this.#update();
    };
    const button = (text, row, name) => h(
      "button", { type: "button", class: "token", "data-row": row ?? "all", "aria-label": name, tabindex: row === null ? "0" : "-1", onclick: () => press(row) },
      foreign(text),
    );
    const names = this.weights.rows.map(([first, last]) => this.weights.answer.slice(first, last + 1).join(""));
    this.answers = h(
      "div", { class: "answer", role: "group", "aria-label": "Tokens of the answer" },
      button("whole answer", null, "The whole answer"),
      names.map((text, row) => button(spaced(text), row, `Token ${row + 1} of the answer: ${text.trim() || "blank"}`)),
    );
    roving(this.answers, "button");
    return h("div", {}, h("h4", {}, "Read by"), this.answers);
  }

  #legend() {
    const names = ["< ⅓ ×", "⅓ ×", "1 ×", "3 ×", "10 ×", "30 ×", "100 ×"];
    return h("p", { class: "legend" }, "Colour: times an even share of the attention ", names.map((name, at) => h("span", { class: `token w${at}` }, name)));
  }

  #update() {
    const { weights, choice } = this;
    const values = weights.of(choice);
    for (const button of this.answers.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.row === String(choice.row ?? "all")));
    }
    for (const select of this.controls.querySelectorAll("select")) {
      const [name, end] = select.dataset.range.split("-");
      select.value = String(choice[name][Number(end)]);
    }
    this.note.textContent = choice.row === null
      ? "The mean over the answer's tokens, the chosen layers and heads."
      : "One token of the answer: the mean over all layers and heads. To choose layers and heads, choose the whole answer.";
    const masses = weights.masses(values);
    const most = Math.max(...masses.map(([, mass]) => mass), 1e-9);
    this.spans.replaceChildren(...masses.map(([label, mass]) => bar(label, mass, mass / most)));
    this.tokens.replaceChildren(...this.#runs(values));
    this.readout.textContent = "Choose a token to see its weight.";
    const order = [...values.keys()].sort((a, b) => values[b] - values[a]).slice(0, 8);
    const labels = weights.labels();
    this.top.replaceChildren(...order.map((at) => h("li", {}, foreign(spaced(weights.tokens[at]), "code"), ` ${percent(values[at])} `, labels[at] && foreign(labels[at], "span", { class: "soft" }))));
    this.onChange(weights, values);
  }

  // The prompt: its tokens, with a run of equal tokens (a picture) as one.
  #runs(values) {
    const { tokens } = this.weights;
    const labels = this.weights.labels();
    const found = [];
    let last = null;
    for (let at = 0; at < tokens.length;) {
      let end = at + 1;
      while (end < tokens.length && tokens[end] === tokens[at] && labels[end] === labels[at]) end += 1;
      if (labels[at] !== last) found.push(h("span", { class: "span-label" }, foreign(labels[at] || "template")));
      last = labels[at];
      if (end - at >= 8) {
        const mass = values.subarray(at, end).reduce((sum, one) => sum + one, 0);
        found.push(this.#token(`${tokens[at].trim() || "blank"} × ${end - at}`, mass, mass / (end - at), at, labels[at]));
      } else {
        for (let one = at; one < end; one++) found.push(this.#token(spaced(tokens[one]), values[one], values[one], one, labels[one]));
      }
      at = end;
    }
    return found;
  }

  #token(text, mass, mean, at, label) {
    const even = mean * this.weights.tokens.length;
    const told = `Token ${at}${label ? ` of ${label}` : ""}: ${percent(mass, 2)}, ${figure(even)} times an even share`;
    const tell = () => { this.readout.textContent = told; };
    return foreign(text, "span", { class: `token w${level(mean, this.weights.tokens.length)}`, title: told, onclick: tell });
  }
}

// Makes line feeds and blanks at the edges of a token visible.
function spaced(text) {
  return text.replaceAll("\n", "⏎").replaceAll("\t", "⇥").replace(/^ | $/g, "·") || "∅";
}

function bar(label, share, width) {
  const full = h("div", { class: "fill" });
  full.style.width = `${100 * Math.min(Math.max(width, 0), 1)}%`;
  return h("tr", {}, foreign(label, "th", { scope: "row" }), h("td", { class: "n" }, percent(share)), h("td", { class: "track" }, full));
}
