// Tables that are sorted by a click on a heading, searched by text and filtered by one choice.

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((one) => one.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (row) => row.cells[column].dataset.sort;
    const order = (a, b) => (isNaN(key(a)) || isNaN(key(b)) ? key(a).localeCompare(key(b)) : key(a) - key(b));
    body.append(...[...body.rows].sort((a, b) => (down ? order(b, a) : order(a, b))));
  }));
}

for (const search of document.querySelectorAll("[data-filters]")) {
  const name = search.dataset.filters;
  const rows = [...document.getElementById(name).tBodies[0].rows];
  const choice = document.querySelector(`[data-chooses="${name}"]`);
  const counted = document.querySelector(`[data-counts="${name}"]`);
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    rows.forEach((row, at) => {
      const fits = words.every((word) => texts[at].includes(word)) && (!choice.value || row.dataset.choice === choice.value);
      row.hidden = !fits;
      left += fits;
    });
    counted.textContent = `${left} of ${rows.length}`;
  };
  search.addEventListener("input", filter);
  choice.addEventListener("change", filter);
  filter();
}
