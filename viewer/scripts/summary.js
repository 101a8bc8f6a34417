// The top of a run's page: what was to be done, how it ended, and what it cost.

const ENDINGS = {
  success: ["solved", "good"],
  premature: ["not solved: called done too early", "bad"],
  budget: ["not solved: all steps were used", "bad"],
  impossible: ["called impossible or forbidden", "plain"],
  collapse: ["not solved: answers without an action", "bad"],
  stopped: ["stopped by a controller", "bad"],
  finished: ["called done; nothing judges it", "plain"],
  uncertain: ["interrupted in the middle of an action", "plain"],
  asked: ["waits for the user's answer", "plain"],
  paused: ["paused", "plain"],
};

function verdict(record) {
  const { finish } = record;
  if (!finish) return ["not ended", "plain"];
  const [words, kind] = ENDINGS[finish.ended] ?? [finish.ended, "plain"];
  if (finish.success === true && finish.ended !== "success") return [`solved: ${words}`, "good"];
  return [finish.ended === "budget" && finish.success === null ? "all steps were used" : words, kind];
}

function summary(record) {
  const { start, finish, totals } = record;
  const [words, kind] = verdict(record);
  const alarms = Object.values(totals.alarms).reduce((sum, one) => sum + one, 0);
  const corrections = Object.values(totals.corrections).reduce((sum, one) => sum + one, 0);
  const optimal = start.judged && start.task.optimal_steps ? `${start.task.optimal_steps} would do` : "";
  const wall = finish ? `${seconds(finish.seconds)} in all` : "";
  const cached = totals.cached_tokens ? `${count.format(totals.cached_tokens)} of them from the cache` : "";
  return [
    h("p", { class: "eyebrow" }, "Run ", foreign(record.run), " · ", foreign(start.model)),
    foreign(start.task.goal || "(no goal)", "h1"),
    start.task.rules.length > 0 &&
      h("ul", { class: "rules", "aria-label": "Rules" }, start.task.rules.map((rule) => foreign(rule, "li"))),
    h("p", { class: "verdict" }, badge(words, kind), finish?.reason && [" ", foreign(finish.reason, "span", { class: "soft" })]),
    relatives(record),
    record.notes.length > 0 && h("ul", { class: "notes", "aria-label": "Notes" }, record.notes.map((note) => foreign(note, "li"))),
    h(
      "dl", { class: "figures" },
      tile("Steps", count.format(totals.steps), optimal),
      tile("Model calls", count.format(totals.calls), ""),
      tile("Tokens generated", count.format(totals.tokens), ""),
      tile("Prompt tokens", count.format(totals.prompt_tokens), cached),
      tile("Time of model calls", seconds(totals.seconds), wall),
      tile("Alarms", count.format(alarms), named(totals.alarms)),
      tile("Corrections", count.format(corrections), named(totals.corrections)),
    ),
  ];
}

function named(counts) {
  return Object.entries(counts).map(([name, number]) => `${name} ${number}`).join(", ");
}

function tile(name, value, more) {
  return h("div", { class: "tile" }, h("dt", {}, name), h("dd", { class: "big" }, value), more && foreign(more, "dd", { class: "soft" }));
}

// The plan's versions, the rules that were read, and what the run was made of.
function about(record) {
  const { start } = record;
  const rows = [
    ["task", start.task.name],
    ["seed", `${start.seed} (task: ${start.task.seed})`],
    ["step budget", String(start.task.max_steps)],
    ["model", start.model],
    ["planner", start.planner],
    ["sensors", start.sensors.join(", ")],
    ["controllers", start.controllers.join(", ")],
    ["rules left to the model", start.unread.join("; ")],
    ["sensors left out", Object.entries(start.left_out).map(([name, why]) => `${name}: ${why}`).join("; ")],
    ["forked from", start.forked_from ? `${start.forked_from}, at step ${start.forked_at}` : ""],
  ].filter(([, value]) => value);
  return h("table", { class: "pairs" }, h("tbody", {}, rows.map(([name, value]) =>
    h("tr", {}, h("th", { scope: "row" }, name), foreign(value, "td")))));
}

const STATUS = { open: "○ open", active: "▶ active", done: "✓ done", failed: "✗ failed", skipped: "– skipped" };

function plans(record) {
  if (!record.plans.length && !record.rules.length) return null;
  const last = record.plans[record.plans.length - 1];
  return [
    record.rules.length > 0 && h("div", {}, h("h3", {}, "Rules as the model read them"), h("ul", {}, record.rules.map((rule) => foreign(rule.text, "li")))),
    last && planTable(last, record.plans.length > 1 ? `The plan after step ${last.step}` : "The plan"),
    record.plans.length > 1 && h(
      "details", {},
      h("summary", {}, `Earlier versions (${record.plans.length - 1})`),
      record.plans.slice(0, -1).map((plan) => planTable(plan, `Step ${plan.step}`)),
    ),
  ];
}

function planTable(plan, caption) {
  const head = ["", "Subtask", "Status", "Steps", "Found out"];
  return h(
    "div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", {},
      h("caption", {}, caption),
      h("thead", {}, h("tr", {}, head.map((name) => h("th", { scope: "col", class: name === "Steps" ? "n" : "" }, name || h("span", { class: "hidden" }, "Number"))))),
      h("tbody", {}, plan.subtasks.map((one, at) => h("tr", {},
        h("td", { class: "n" }, at + 1), foreign(one.words, "td"), h("td", { class: "nowrap" }, STATUS[one.status] ?? one.status),
        h("td", { class: "n" }, one.steps), foreign(one.answer ?? "–", "td"))))),
    plan.facts.length > 0 && h("p", { class: "soft" }, "Known: ", foreign(plan.facts.map((fact) => `${fact.key} = ${fact.value}`).join("; "))),
  );
}
