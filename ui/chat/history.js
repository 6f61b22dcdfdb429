// The list of conversations that this browser keeps: searched, opened, named, deleted, exported, imported.
(() => {
  const kept = () => window.paddock.conversations, dialog = () => document.querySelector("#history");
  const find = (selector) => dialog().querySelector(selector);
  const LONGEST_NAME = 80, MOST_BYTES = 50e6;
  const MARK = { question: "<!-- question -->", answer: "<!-- answer -->" };
  let deleted = null;

  // --- one conversation -------------------------------------------------------------------------------------
  const [PARENT, QUESTION, ANSWER, TITLE] = [0, 1, 2, 3];  // of a turn
  const path = ({ turns, leaf }) => {
    const shown = [];
    for (let at = leaf; at >= 0 && turns[at]; at = turns[at][PARENT]) shown.unshift(turns[at]);
    return shown;
  };
  const shortened = (text) => text.replace(/\s+/g, " ").trim().slice(0, LONGEST_NAME);
  const nameOf = (one) => one.name || shortened(one.turns[0]?.[QUESTION] || "");
  const holds = (one, words) => [nameOf(one), ...one.turns.flatMap((turn) => [turn[QUESTION], turn[ANSWER]])]
    .some((text) => String(text).toLowerCase().includes(words));

  const escaped = (text) => text.replace(/^<(?=\\*!-- (question|answer) -->$)/gm, "<\\");
  const restored = (text) => text.replace(/^<\\(?=\\*!-- (question|answer) -->$)/gm, "<");
  const asMarkdown = (one) => [`# ${nameOf(one)}`, ...path(one).flatMap((turn) => [
    `${MARK.question}\n**You**\n\n${escaped(turn[QUESTION])}`,
    `${MARK.answer}\n**Model**${turn[TITLE] ? ` · ${turn[TITLE]}` : ""}\n\n${escaped(turn[ANSWER])}`,
  ])].join("\n\n") + "\n";
  const asJson = (list) => JSON.stringify({ paddock_conversations: 1, conversations: list.map((one) => (
    { name: nameOf(one), saved: one.saved, turns: one.turns, leaf: one.leaf })) }, null, 1);

  // --- files ------------------------------------------------------------------------------------------------
  const chain = (pairs) => pairs.map(([question, answer, title], at) => [at - 1, question, answer, title || "", ""]);
  function fromMarkdown(text) {
    const parts = text.replaceAll("\r\n", "\n").split(/^<!-- (question|answer) -->\n/m), pairs = [];
    for (let at = 1; at < parts.length; at += 2) {
      const [head, ...rest] = parts[at + 1].split("\n"), said = restored(rest.join("\n").replace(/^\n/, "").replace(/\n+$/, ""));
      if (parts[at] === "question") pairs.push([said, "", ""]);
      else if (pairs.length) pairs.at(-1).splice(1, 2, said, head.replace(/^\*\*Model\*\*( · )?/, ""));
    }
    return pairs.length ? [{ name: parts[0].replace(/^# /, "").trim(), turns: chain(pairs) }] : [];
  }
  function fromMessages(messages) {  // as OpenAI and transformers write them
    const pairs = [];
    for (const { role, content } of messages) {
      if (role === "user") pairs.push([content, ""]);
      else if (role === "assistant" && pairs.length) pairs.at(-1)[1] = content;
    }
    return pairs.length ? [{ turns: chain(pairs) }] : [];
  }
  function fromJson(text) {
    const read = JSON.parse(text);
    if (Array.isArray(read?.conversations)) return read.conversations;
    const messages = Array.isArray(read) ? read : read?.messages;
    return Array.isArray(messages) ? fromMessages(messages) : [];
  }
  const isTurn = (turn, at) => Array.isArray(turn) && Number.isInteger(turn[PARENT]) && turn[PARENT] >= -1 && turn[PARENT] < at
    && (turn.length === 5 || turn.length === 7) && turn.slice(1).every((text) => typeof text === "string");
  function sound(one) {
    if (!Array.isArray(one?.turns) || !one.turns.length || !one.turns.every(isTurn)) return null;
    const leaf = Number.isInteger(one.leaf) && one.turns[one.leaf] ? one.leaf : one.turns.length - 1;
    return { name: typeof one.name === "string" ? shortened(one.name) : "", turns: one.turns, leaf };
  }
  async function importFiles(files) {
    let count = 0, wrong = 0;
    for (const file of files) {
      let found = [];
      try {
        if (file.size <= MOST_BYTES) found = (file.name.endsWith(".md") ? fromMarkdown : fromJson)(await file.text());
      } catch { /* no such file */ }
      const good = found.map(sound).filter(Boolean);
      wrong += found.length - good.length || (good.length ? 0 : 1);
      for (const one of good) if (kept().add(one)) count += 1; else return say("full", count);
    }
    say(wrong ? (count ? "not_imported" : "no_file") : "imported", count, wrong);
    draw();
  }
  const download = (name, text, type) => window.paddock.save(text, type, name);
  const fileName = (one) => nameOf(one).replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 40) || "conversation";

  // --- drawn ------------------------------------------------------------------------------------------------
  function say(name, count = 0, wrong = 0) {
    const words = find("template").content.querySelector(`[data-said=${name}]`).cloneNode(true);
    for (const text of words.querySelectorAll("[lang]")) {
      text.textContent = text.textContent.replace("{count}", count).replace("{wrong}", wrong);
    }
    find(".said").replaceChildren(words);
  }
  function row(one) {
    const made = find("template").content.querySelector("li").cloneNode(true);
    made.dataset.id = one.id;
    made.classList.toggle("here", one.id === kept().mine);
    made.querySelector("b").textContent = nameOf(one);
    made.querySelector(".name > span").textContent = one.saved ? new Date(one.saved).toLocaleString(document.documentElement.lang || undefined) : "";
    return made;
  }
  function draw() {
    const words = find("input[type=search]").value.trim().toLowerCase();
    const rows = kept().list().filter((one) => !words || holds(one, words)).map(row);
    find("ul").replaceChildren(...rows);
    find(".empty").hidden = rows.length > 0;
    find(".private input").checked = kept().private;
  }
  function rename(line, one) {
    const field = document.createElement("input");
    field.value = nameOf(one);
    field.maxLength = LONGEST_NAME;
    field.setAttribute("aria-labelledby", "history-title");
    let left = false;
    const done = (keep) => {
      if (left) return;
      left = true;
      if (keep) kept().rename(one.id, field.value.trim());
      draw();
      document.querySelector(`#history [data-id="${one.id}"] [data-do=rename]`)?.focus();
    };
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.isComposing) { event.preventDefault(); done(true); }
      if (event.key === "Escape") { event.preventDefault(); event.stopPropagation(); done(false); }
    });
    field.addEventListener("blur", () => done(true));
    line.querySelector(".name").replaceWith(field);
    field.select();
  }
  const ACTIONS = {
    open: async (one) => { await kept().open(one.id); dialog().close(); },
    new: async () => { await kept().open(null); dialog().close(); },
    close: () => dialog().close(),
    rename: (one, line) => rename(line, one),
    markdown_one: (one) => download(`${fileName(one)}.md`, asMarkdown(one), "text/markdown"),
    json_one: (one) => download(`${fileName(one)}.json`, asJson([one]), "application/json"),
    delete: async (one) => { deleted = one; await kept().remove(one.id); draw(); say("deleted"); find("[data-do=undo]").focus(); },
    undo: () => { if (deleted) kept().add(deleted); deleted = null; find(".said").replaceChildren(); draw(); },
    export: () => download("paddock-conversations.json", asJson(kept().list()), "application/json"),
  };

  window.paddock.saveConversation = () => {
    const here = kept().get(kept().mine);
    if (here) ACTIONS.json_one(here);
  };
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("#open-history")) {
      find(".said").replaceChildren();
      draw();
      dialog().showModal();
      return;
    }
    if (event.target === dialog()) return dialog().close();  // beside it
    const pressed = event.target.closest?.("#history [data-do]"), line = pressed?.closest("[data-id]");
    if (pressed) ACTIONS[pressed.dataset.do](line && kept().get(line.dataset.id), line);
  });
  document.addEventListener("input", ({ target }) => { if (target.matches?.("#history input[type=search]")) draw(); });
  document.addEventListener("change", async ({ target }) => {
    if (target.matches?.("#history input[type=file]")) { await importFiles([...target.files]); target.value = ""; }
    if (target.matches?.("#history .private input")) {
      await kept().setPrivate(target.checked);
      if (target.checked) say("nothing_private"); else find(".said").replaceChildren();
    }
  });
  window.addEventListener("storage", () => { if (dialog()?.open && !find("li input")) draw(); });
})();
