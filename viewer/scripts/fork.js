// The form that continues a run from one of its steps in another way. Only a server can start it.

function forkForm(page) {
  const step = h("strong");
  const controllers = h("input", { type: "text", name: "controllers", list: "controller-names", placeholder: "as before", autocomplete: "off" });
  const names = h("datalist", { id: "controller-names" });
  const answer = h("textarea", { name: "answer", rows: 3, placeholder: "the model answers" });
  const button = h("button", { type: "submit" }, "Fork");
  const said = h("p", { class: "readout", role: "status" });
  const blocked = h("p", { class: "blocked" });
  const starts = h("div", { class: "starts", hidden: true });
  const form = h("form", { class: "fork-form" },
    h("p", { class: "soft" }, "A new run repeats the steps before this one, and goes on from here with what you choose."),
    h("label", {}, "Controllers, names with commas", controllers), names,
    h("label", {}, "The model's answer at this step", answer),
    starts, h("p", {}, button), blocked, said);
  const details = h("details", { class: "card" }, h("summary", {}, "Fork this run at ", step), form);
  let known = null;

  const show = () => {
    const now = page.record.steps[page.at];
    if (!now) return;
    step.textContent = `step ${now.step}`;
    if (!known) return;
    const reason = known.reason || (known.steps.includes(now.step) ? "" : `The run keeps no checkpoint of step ${now.step}.`);
    button.disabled = controllers.disabled = answer.disabled = Boolean(reason);
    blocked.textContent = reason;
  };
  details.addEventListener("toggle", async () => {
    if (!details.open || known) return;
    blocked.textContent = "Looking for checkpoints …";
    known = await (await fetch(`${page.source.base}/forks`)).json();
    // The run's own settings name these, and the run may be a stranger's.
    starts.hidden = !known.starts?.length;
    starts.replaceChildren("The fork starts or calls what this run's settings name. Fork only a run that you trust:",
      h("ul", {}, (known.starts ?? []).map((one) => h("li", {}, foreign(one, "code")))));
    names.replaceChildren(...(known.controllers ?? []).map((value) => h("option", { value })));
    show();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    said.textContent = "Starting …";
    try {
      const wanted = { step: page.record.steps[page.at].step, controllers: controllers.value, answer: answer.value };
      const started = await page.source.fork(wanted);
      await forked(page.source.base, started, said);
    } catch (error) {
      said.textContent = `It could not be started: ${error.message}`;
    }
    button.disabled = false;
  });
  page.onStep = show;
  return details;
}

async function forked(base, started, said) {
  for (;;) {
    const told = await (await fetch(`${base}/forks/${encodeURIComponent(started.name)}`)).json();
    if (told.state === "failed") throw new Error(told.error);
    if (told.state === "started") break;
    await new Promise((done) => setTimeout(done, 500));
  }
  said.replaceChildren("It runs: ", h("a", { href: `/runs/${started.name}` }, foreign(started.run)));
}

// Links between a run and its forks.
function relatives(record) {
  const parent = record.parent?.[0];
  const children = record.children ?? [];
  if (!parent && !children.length) return null;
  return h("p", { class: "relatives" },
    parent && ["Forked from ", h("a", { href: `/runs/${parent}` }, foreign(record.start.forked_from)), ` at step ${record.start.forked_at}. `],
    children.length > 0 && ["Forks of this run: ", children.map((one, at) => [at > 0 && ", ", h("a", { href: `/runs/${one.name}` }, foreign(one.run))])]);
}
