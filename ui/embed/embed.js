// Below an embedded page: its variant, and the whole page. On the whole page: snippets that embed what it shows.
(() => {
  const embedded = document.documentElement.dataset.embed, HEIGHTS = { 1: 600, answer: 420, compare: 720 };

  // A conversation as a link carries it: its questions and answers, packed; nothing for one that is too long.
  const LONGEST = 4000;
  function talk() {
    const { mine, get } = window.paddock.conversations, { turns = [], leaf = -1 } = (mine && get(mine)) || {};
    const texts = [];
    for (let at = leaf; at >= 0; at = turns[at][0]) if (turns[at][2]) texts.unshift(turns[at][1], turns[at][2]);
    return texts;
  }
  async function packed(texts) {
    const stream = new Blob([JSON.stringify(texts)]).stream().pipeThrough(new CompressionStream("deflate"));
    const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
    if (bytes.length > LONGEST) return "";
    const text = btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_");
    return text.length > LONGEST ? "" : text;
  }

  async function follow() {
    const footer = document.querySelector("#embed-footer"), card = document.querySelector("#card [data-variant]");
    if (!footer) return;
    const there = new URL(footer.dataset.page || window.location.pathname, window.location), texts = talk();
    const query = new URLSearchParams(window.location.search);
    for (const own of ["embed", "run", "lock", "signature", "__theme"]) query.delete(own);
    if (embedded === "compare") query.set("tab", "compare");
    else if (texts.length) {
      const conversation = await packed(texts);
      if (conversation) query.set("conversation", conversation);
      footer.classList.toggle("too-long", !conversation);
    }
    there.search = query;
    footer.querySelector("b").textContent = card?.dataset.variant || "";
    footer.querySelector("a").href = there;
  }
  if (embedded) {
    let soon = false, later;
    new MutationObserver(() => {  // what is said is kept half a second after it is shown
      if (!soon) { soon = true; setTimeout(() => { soon = false; follow(); }, 200); }
      clearTimeout(later); later = setTimeout(follow, 800);
    }).observe(document, { subtree: true, childList: true });
    for (const event of ["pointerover", "focusin"])
      document.addEventListener(event, ({ target }) => { if (target.closest?.("#embed-footer a")) follow(); });
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
  // A switch that has the server sign the link, where it can; none that is not signed passes for one that is.
  async function signed(link) {
    const line = find(".lock [role=status]"), form = find(".lock form");
    form.hidden = !find("[data-of=lock]").checked;
    line.textContent = "";
    const key = find("[data-of=key]").value;
    if (form.hidden || !key) return form.hidden ? link : "";
    const root = window.gradio_config?.root || "", language = new URLSearchParams({ lang: document.documentElement.lang });
    const body = JSON.stringify({ link, embed: kind(), key });
    const answer = await fetch(`${root}/lock?${language}`, { method: "POST", body }).then((reply) => reply.json()).catch(String);
    if (!answer.link) line.textContent = answer.error || answer;
    return answer.link || "";
  }
  async function draw() {
    const wanted = linkOf(kind()), link = find(".lock") ? await signed(wanted) : wanted, height = HEIGHTS[kind()], attribute = link.replaceAll("&", "&amp;").replaceAll('"', "&quot;");
    find("[data-of=iframe]").value = link && `<iframe src="${attribute}" title="Paddock" width="100%" height="${height}" `
      + 'style="border:0" loading="lazy" allow="clipboard-write"></iframe>';
    find("[data-of=component]").value = link && `<script async src="${new URL("component.js", link.split("?")[0])}"></`
      + `script>\n<paddock-app src="${attribute}"></paddock-app>`;
    find("[data-of=link]").value = link;
    if (!link) { find(".preview").replaceChildren(); return; }
    const frame = document.createElement("iframe");
    frame.src = link;
    frame.title = "Paddock";
    frame.height = height;
    frame.inert = true;  // its box takes the focus as it opens, and would have the panel scroll to it
    const at = dialog().scrollTop, stay = setInterval(() => { dialog().scrollTop = at; }, 50);
    for (const own of ["wheel", "pointerdown", "keydown"]) dialog().addEventListener(own, () => clearInterval(stay), { once: true });
    frame.addEventListener("load", () => setTimeout(() => { clearInterval(stay); frame.inert = false; }, 3000));
    find(".preview").replaceChildren(frame);
  }
  async function copy(button, text) {
    const words = button.innerHTML;
    try { await navigator.clipboard.writeText(text.value); button.textContent = "✓"; } catch { text.select(); }
    setTimeout(() => { button.innerHTML = words; }, 2000);
  }
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("#link-file")) { window.paddock.fileInstead()?.(); return; }
    const hub = event.target.closest?.("#copy-hub");
    if (hub) {  // the Hub hands the query on to the page in its frame
      const link = new URL(hub.dataset.page);
      link.search = new URL(document.querySelector("#link textarea").value).search;
      copy(hub, { value: String(link), select: () => window.prompt("", link) });
      return;
    }
    if (event.target.closest?.("#open-share")) { dialog().showModal(); draw(); return; }
    const pressed = event.target.closest?.("#share [data-do]")?.dataset.do;
    if (event.target === dialog() || pressed === "close") dialog().close();
    if (pressed?.startsWith("copy-")) copy(event.target.closest("button"), find(`[data-of=${pressed.slice(5)}]`));
  });
  document.addEventListener("change", ({ target }) => {
    if (target.name === "share-kind" || target.matches?.("#share [data-of=lock]")) draw();
  });
  document.addEventListener("submit", (event) => {
    if (event.target.closest?.("#share .lock")) { event.preventDefault(); draw(); }
  });
  document.addEventListener("close", ({ target }) => { if (target === dialog()) find(".preview").replaceChildren(); }, true);
})();
