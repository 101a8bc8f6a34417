// The theme's search dialog has no accessible name of its own.
document.querySelector(".md-search")?.setAttribute("aria-label", "Search");

// Code and tables that are wider than their boxes scroll; the keyboard has to reach them, too.
function mark() {
  for (const box of document.querySelectorAll(".md-typeset pre > code, .md-typeset__scrollwrap, .md-typeset .output")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}

// The theme wraps tables when it starts, so once more after everything has loaded.
for (const moment of ["DOMContentLoaded", "load", "resize"]) window.addEventListener(moment, mark);
mark();
