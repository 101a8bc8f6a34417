// One step: what the agent saw, what it answered, how it was read and corrected, and what was done.

class StepView {
  constructor(source) {
    this.source = source;
    this.picture = new Picture(source);
    this.attention = new AttentionPanel(source, (weights, values) => this.picture.colour(weights, values));
    this.column = h("div", { class: "events" });
    this.turns = h("div", { class: "turns" });
    this.element = h("div", {}, this.turns, h("div", { class: "seen" }, this.picture.element, this.column), this.attention.element);
  }

  show(record, at) {
    const step = record.steps[at];
    const attempts = step.events.filter((event) => event.what === "attempt");
    const corrections = record.corrections.filter((one) => one.step === step.step);
    this.step = step;
    this.turns.replaceChildren(...step.turns.map(turn));
    this.element.classList.toggle("without-picture", !step.screen);
    this.column.replaceChildren(
      ...[step.problem && h("p", { class: "problem" }, "The environment could not read everything: ", foreign(step.problem))].filter(Boolean),
      ...step.events.map((event) => this.#event(event, record, corrections, attempts.length)),
      ...[step.act && outcome(step.act)].filter(Boolean),
    );
    this.choose(attempts.filter((one) => one.candidate === null).pop() ?? attempts[0]);
  }

  // Shows the attention of one attempt, and where its action lands.
  choose(attempt) {
    this.chosen = attempt;
    for (const card of this.column.querySelectorAll("[data-attempt]")) {
      card.classList.toggle("chosen", card.dataset.attempt === key(attempt));
      card.querySelector("button.look")?.setAttribute("aria-pressed", String(card.dataset.attempt === key(attempt)));
    }
    const act = this.step.act;
    this.picture.show(this.step, attempt?.places ?? act?.places ?? null, attempt?.words ?? act?.words ?? "");
    this.attention.show(attempt);
  }

  #event(event, record, corrections, attempts) {
    switch (event.what) {
      case "attempt":
        return this.#attempt(event, record, attempts);
      case "decision":
        return decision(event, corrections);
      case "plan":
        return note("Planner", event.error ? `The plan can't be read: ${event.error}` : event.text, event.error ? "bad" : "");
      case "report":
        return note("Read off the screen", event.text);
      case "sampled":
        return note("Sampled", `${event.drawn} of ${event.asked} answers were drawn`);
      case "asked":
        return note("Question to the user", `${event.question} — ${event.answer ?? "no answer yet"}`);
      default:
        return note(`Error${event.name ? ` in ${event.component} ${event.name}` : ""}`, event.error, "bad");
    }
  }

  #attempt(event, record, attempts) {
    const name = event.candidate === null ? `Attempt ${event.attempt}` : `Attempt ${event.attempt}, answer ${event.candidate + 1}`;
    const alarms = event.readings.filter((reading) => reading.alarm);
    const goal = record.start.task.goal;
    const alarmed = alarms.length > 0 && badge(plural(alarms.length, "alarm"), "alarm");
    const look = attempts > 1 && h("button", { type: "button", class: "look", "aria-pressed": "false", onclick: () => this.choose(event) }, "Show its attention");
    const card = { class: "card", "data-attempt": key(event), "aria-label": name };
    const content = [
      event.instruction !== goal && h("p", { class: "soft" }, "Asked to: ", foreign(event.instruction)),
      event.reminder && h("p", { class: "reminder" }, "Reminded: ", foreign(event.reminder)),
      h("p", { class: "does" }, event.words ? foreign(event.words) : h("span", { class: "bad" }, "no action: ", foreign(event.unparsable))),
      foreign(event.text || "(empty answer)", "pre", { tabindex: "0", "aria-label": "The answer" }),
      h("p", { class: "soft small" }, costs(event)),
      readings(event.readings),
      masses(event.mass),
    ];
    // The further answers that were sampled to one prompt are alike: each is one line until it is opened.
    if (event.candidate !== null) {
      return h("details", card, h("summary", {}, `Answer ${event.candidate + 1}: `, foreign(event.words || "no action"), " ", alarmed), look, content);
    }
    return h("article", card, h("header", {}, h("h3", {}, name), alarmed, look), content);
  }
}

function key(attempt) {
  return attempt ? `${attempt.attempt}-${attempt.candidate ?? ""}` : "";
}

function costs(event) {
  const cached = event.cached_tokens ? ` (${count.format(event.cached_tokens)} cached)` : "";
  const dropped = Object.entries(event.dropped).map(([what, number]) => `${number} ${what} left out of the prompt`);
  return [
    plural(event.tokens, "token"), `prompt ${count.format(event.prompt_tokens)}${cached}`, seconds(event.seconds),
    event.probability !== null && `mean token probability ${percent(event.probability)}`,
    event.finish === "length" && "cut at the token limit", ...dropped,
  ].filter(Boolean).join(" · ");
}

function readings(all) {
  if (!all.length) return null;
  return h(
    "div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Readings" },
    h("table", { class: "readings" },
      h("thead", {}, h("tr", {}, ["Reading", "Value", "Threshold"].map((name, at) => h("th", { scope: "col", class: at ? "n" : "" }, name)))),
      h("tbody", {}, all.map((one) => h("tr", { class: one.alarm ? "alarming" : "" },
        h("th", { scope: "row" }, foreign(one.sensor), one.alarm && [" ", badge("▲ alarm", "alarm")], one.reason && foreign(one.reason, "div", { class: "reason" })),
        h("td", { class: "n" }, one.judged ? figure(one.value) : "not judged"),
        h("td", { class: "n" }, figure(one.threshold)))))),
  );
}

function masses(mass) {
  const rows = Object.entries(mass);
  if (!rows.length) return null;
  const most = Math.max(...rows.map(([, share]) => share), 1e-9);
  return h("table", { class: "bars" }, h("caption", {}, "Attention by span, mean of all layers and heads"), h("tbody", {}, rows.map(([label, share]) => bar(label, share, share / most))));
}

function decision(event, corrections) {
  const told = corrections.find((one) => one.attempt === event.attempt && one.kind === event.kind && one.controller === event.controller);
  const by = event.controller ? `${event.controller}: ` : "";
  if (!told) return note(`${by}${event.kind}`, [event.words, event.cause && `(${event.cause})`].filter(Boolean).join(" "));
  return h("div", { class: "chain-card", role: "note" }, chain(told));
}

// "alarm → decision → effect"
function chain(told) {
  const by = told.controller && !told.decision.startsWith(`${told.controller}:`) ? `${told.controller}: ` : "";
  return h("p", { class: "chain" },
    foreign(told.trigger, "span", { class: "cause" }),
    foreign(`→ ${by}${told.decision}`, "span", { class: "decided" }),
    foreign(`→ ${told.effect}`, "span", { class: "effect" }));
}

function note(title, text, kind = "") {
  return h("div", { class: `note ${kind}` }, h("strong", {}, foreign(title)), " ", foreign(text));
}

const OUTCOMES = { done: ["carried out", "good"], refused: ["refused", "bad"], unparsable: ["no action", "bad"] };

function outcome(act) {
  const [words, kind] = OUTCOMES[act.outcome];
  return h("div", { class: "outcome" }, badge(words, kind), " ", foreign(act.words || "nothing"), act.error && [": ", foreign(act.error)], act.settled && ` (${act.settled} on resumption)`);
}

function turn(one) {
  const who = one.role === "tool" ? `tool ${one.tool}` : one.role;
  const calls = one.calls.map((call) => `${call.tool}(${JSON.stringify(call.arguments)})`).join("\n");
  return h("article", { class: `turn ${one.role}` }, h("h3", {}, foreign(who)), foreign([one.text, calls].filter(Boolean).join("\n"), "pre", { tabindex: "0", "aria-label": `Said by ${who}` }));
}
