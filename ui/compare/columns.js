// Presses go to the server. What was opened here stays open while the server draws anew.
const opened = new Set();
const toggle = (key) => opened.has(key) ? opened.delete(key) : opened.add(key);
const set = (target, name, value) => { if (target[name] !== value) target[name] = value; };

element.addEventListener("click", (event) => {
  const button = event.target.closest("button"), summary = event.target.closest("summary");
  if (button?.dataset.press) trigger(button.dataset.event || "click", { pressed: button.dataset.press });
  else if (summary) toggle(summary.parentElement.dataset.key);  // the browser opens it after this
  else if (button?.classList.contains("more")) {
    toggle(button.previousElementSibling.dataset.key);
    refresh();
  }
});

function refresh() {
  const running = element.querySelector(".compare-columns.running");
  for (const clip of element.querySelectorAll(".clip")) {
    const open = opened.has(clip.dataset.key), more = clip.nextElementSibling;
    clip.classList.toggle("open", open);
    const cut = !open && running === null && clip.scrollHeight > clip.clientHeight + 2;
    clip.classList.toggle("cut", cut);
    set(more, "hidden", !open && !cut);
    set(more, "textContent", open ? more.dataset.less : more.dataset.more);
    set(more, "ariaExpanded", String(open));
    set(clip, "scrollTop", running ? clip.scrollHeight - clip.clientHeight : 0);  // what is new is seen
  }
  for (const part of element.querySelectorAll("details[data-key]"))
    set(part, "open", opened.has(part.dataset.key) !== "live" in part.dataset);  // what streams was not opened to be seen
}

// Before anything is painted, so that nothing is seen to close.
new MutationObserver(refresh).observe(element, { childList: true, subtree: true, characterData: true,
  attributeFilter: ["class", "open", "hidden"] });
new ResizeObserver(refresh).observe(element);
