// Shows the definition of a term beside it: on hover, on focus and on a tap. Escape hides it.
// Without this script the definitions stand in the list that the terms refer to.
// On paper all that is folded is unfolded.
"use strict";
(() => {
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  tip.setAttribute("aria-hidden", "true"); // a screen reader reads the definition itself
  document.body.append(tip);
  let shown = null;

  function hide() {
    tip.hidden = true;
    shown = null;
  }

  function show(term) {
    const definition = document.getElementById(term.getAttribute("aria-describedby"));
    if (!definition) return;
    tip.textContent = definition.textContent.trim();
    tip.hidden = false;
    shown = term;
    const at = term.getBoundingClientRect();
    const width = document.documentElement.clientWidth;
    const below = at.bottom + tip.offsetHeight + 12 < window.innerHeight;
    tip.style.left = `${Math.max(8, Math.min(at.left, width - tip.offsetWidth - 8))}px`;
    tip.style.top = `${below ? at.bottom : Math.max(8, at.top - tip.offsetHeight)}px`;
  }

  const termOf = (target) => (target instanceof Element ? target.closest(".term") : null);
  const leaves = (event) => {
    const to = event.relatedTarget;
    return shown && shown !== document.activeElement && to !== tip && termOf(to) !== shown;
  };
  document.addEventListener("mouseover", (e) => termOf(e.target) && show(termOf(e.target)));
  document.addEventListener("mouseout", (e) => leaves(e) && hide());
  document.addEventListener("focusin", (e) => (termOf(e.target) ? show(termOf(e.target)) : hide()));
  document.addEventListener("focusout", hide);
  document.addEventListener("click", (e) => termOf(e.target) && show(termOf(e.target)));
  document.addEventListener("keydown", (e) => e.key === "Escape" && hide());
  window.addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
  });
  document.addEventListener("scroll", () => shown && show(shown), { capture: true, passive: true });
})();
