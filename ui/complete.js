// Marks in the box of Complete what the model wrote: a copy of the text lies behind it, letter upon letter.
(() => {
  const ALIKE = ["font", "lineHeight", "letterSpacing", "padding", "borderWidth", "tabSize", "textAlign"];
  const box = () => document.querySelector("#text textarea");

  function behind(area) {
    const there = area.parentElement.querySelector(".behind");
    if (there) return there;
    const made = document.createElement("div");
    made.className = "behind";
    made.ariaHidden = "true";
    area.before(made);
    const follow = () => {
      const style = getComputedStyle(area);
      for (const name of ALIKE) made.style[name] = style[name];
      const { offsetLeft: left, offsetTop: top, offsetWidth: width, offsetHeight: height } = area;
      for (const [name, value] of Object.entries({ left, top, width, height })) made.style[name] = `${value}px`;
      made.scrollTop = area.scrollTop;
    };
    new ResizeObserver(follow).observe(area);
    area.addEventListener("scroll", () => { made.scrollTop = area.scrollTop; });
    follow();
    return made;
  }
  function markContinuation(text) {
    const area = box();
    if (!area) return;
    const [before] = window.paddock.openBefore(), mark = document.createElement("mark"), under = behind(area);
    if (before && text.startsWith(before)) {
      mark.textContent = text.slice(before.length);
      under.replaceChildren(before, mark);
    } else under.replaceChildren();
    requestAnimationFrame(() => { under.scrollTop = area.scrollTop; });
  }
  window.paddock.markContinuation = markContinuation;
  new MutationObserver(() => {  // the tab was opened, maybe with a text that was kept
    const area = box();
    if (area && !area.parentElement.querySelector(".behind")) setTimeout(() => markContinuation(area.value), 100);
  }).observe(document, { subtree: true, childList: true });
})();
