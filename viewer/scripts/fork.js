// The form that continues a run from one of its steps in another way (only where a server can start it).

function forkForm(page) {
  return h("div", {});
}
