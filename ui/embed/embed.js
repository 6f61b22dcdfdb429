// Below an embedded page: its variant, and the whole page. On the whole page: snippets that embed what it shows.
(() => {
  const embedded = document.documentElement.dataset.embed, HEIGHTS = { 1: 600, answer: 420, compare: 720 };

  function follow() {
    const footer = document.querySelector("#embed-footer"), card = document.querySelector("#card [data-variant]");
    if (!footer) return;
    const [name, link] = footer.children, there = new URL(footer.dataset.page || window.location.pathname, window.location);
    const query = new URLSearchParams(window.location.search);
    for (const own of ["embed", "run", "__theme"]) query.delete(own);
    if (embedded === "compare") query.set("tab", "compare");
    there.search = query;
    name.textContent = card?.dataset.variant || "";
    link.href = there;
  }
  if (embedded) {
    let due = false;
    new MutationObserver(() => {
      if (!due) { due = true; setTimeout(() => { due = false; follow(); }, 200); }
    }).observe(document, { subtree: true, childList: true });
    return;
  }

  const dialog = () => document.querySelector("#share"), find = (selector) => dialog().querySelector(selector);
  const kind = () => find("[name=share-kind]:checked").value;
  function linkOf(kind) {
    const link = new URL(document.querySelector("#link textarea").value);
    for (const own of ["tab", "conversation"]) link.searchParams.delete(own);
    link.searchParams.set("embed", kind);
    return String(link);
  }
  function draw() {
    const link = linkOf(kind()), height = HEIGHTS[kind()], attribute = link.replaceAll("&", "&amp;").replaceAll('"', "&quot;");
    find("[data-of=iframe]").value = `<iframe src="${attribute}" title="Paddock" width="100%" height="${height}" `
      + 'style="border:0" loading="lazy" allow="clipboard-write"></iframe>';
    find("[data-of=link]").value = link;
    const frame = document.createElement("iframe");
    frame.src = link;
    frame.title = "Paddock";
    frame.height = height;
    frame.inert = true;  // its box takes the focus as it opens
    frame.addEventListener("load", () => setTimeout(() => { frame.inert = false; }, 3000));
    find(".preview").replaceChildren(frame);
  }
  async function copy(button, text) {
    const words = button.innerHTML;
    try { await navigator.clipboard.writeText(text.value); button.textContent = "✓"; } catch { text.select(); }
    setTimeout(() => { button.innerHTML = words; }, 2000);
  }
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("#open-share")) { dialog().showModal(); draw(); return; }
    const pressed = event.target.closest?.("#share [data-do]")?.dataset.do;
    if (event.target === dialog() || pressed === "close") dialog().close();
    if (pressed?.startsWith("copy-")) copy(event.target.closest("button"), find(`[data-of=${pressed.slice(5)}]`));
  });
  document.addEventListener("change", ({ target }) => { if (target.name === "share-kind") draw(); });
  document.addEventListener("close", ({ target }) => { if (target === dialog()) find(".preview").replaceChildren(); }, true);
})();
