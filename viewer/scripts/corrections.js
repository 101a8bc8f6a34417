// Every correction with its cause and effect, and the attempts before and after it side by side.

const AT_ONCE = 20;

function corrections(record, onStep) {
  const list = h("ol", { class: "corrections" });
  const more = h("button", { type: "button", onclick: () => add() });
  const add = () => {
    const from = list.children.length;
    list.append(...record.corrections.slice(from, from + AT_ONCE).map((one) => card(one, record, onStep)));
    const left = record.corrections.length - list.children.length;
    more.hidden = left <= 0;
    more.textContent = `Show ${Math.min(left, AT_ONCE)} more of ${left}`;
  };
  add();
  return [list, more];
}

function card(told, record, onStep) {
  const details = h("details", {}, h("summary", {}, "Before and after"));
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(sideBySide(told, record));
  });
  return h("li", { class: "card" },
    h("header", {},
      h("button", { type: "button", class: "link", onclick: () => onStep(told.step) }, `Step ${told.step}, attempt ${told.attempt}`),
      badge(told.kind),
      told.changed.action && badge("action changed", "good")),
    chain(told),
    told.before && told.after && details);
}

function attemptAt(record, [step, attempt, candidate]) {
  const found = record.steps.find((one) => one.step === step);
  return found?.events.find((event) => event.what === "attempt" && event.attempt === attempt && event.candidate === candidate);
}

function sideBySide(told, record) {
  const both = [told.before, told.after].map((place) => attemptAt(record, place));
  const name = ([step, attempt, candidate]) => `Step ${step}, attempt ${attempt}${candidate ? `, answer ${candidate + 1}` : ""}`;
  const row = (head, cells, same) => h("tr", { class: same ? "same" : "" }, h("th", { scope: "row" }, head), cells.map((cell) => h("td", {}, cell)));
  const shares = told.masses.map((one) => row(foreign(one.span), [percent(one.before), percent(one.after)], one.before === one.after));
  const values = told.readings.map((one) => row(
    foreign(one.sensor),
    [["before", one.alarm_before], ["after", one.alarm_after]].map(([side, alarm]) => [one[side] === null ? "not judged" : figure(one[side]), alarm && [" ", badge("▲ alarm", "alarm")]]),
    one.before === one.after,
  ));
  const group = (title) => h("tr", {}, h("th", { scope: "colgroup", colspan: 3, class: "group" }, title));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Before and after" },
    h("table", { class: "sides" },
      h("thead", {}, h("tr", {}, h("td", {}), h("th", { scope: "col" }, "Before: ", name(told.before)), h("th", { scope: "col" }, "After: ", name(told.after)))),
      h("tbody", {},
        row("Action", both.map((one) => foreign(one?.words || one?.unparsable || "–")), !told.changed.action),
        row("Answer", both.map((one) => foreign(one?.text ?? "–", "pre", { tabindex: "0", "aria-label": "The answer" })), !told.changed.text),
        row("Reminder", both.map((one) => foreign(one?.reminder || "–")), false),
        values.length > 0 && group("Readings"), values,
        shares.length > 0 && group("Attention by span"), shares)));
}
