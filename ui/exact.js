// Puts the characters back for which `exact.py` has given the Chatbot stand-ins: in what is drawn, copied and edited.
(() => {
  const STAND_IN = /\u{10F900}([\s\S]?)|[\u{10F800}-\u{10F8FF}]|[\u{10F901}-\u{10F909}]/gu;
  const NOTHING = 0x10F901, FIRST = 0x10F800;
  const DELIMITERS = ["", "$", "$", "$$", "$$", "\\(", "\\)", "\\[", "\\]"];  // of formulas, from NOTHING on
  const hasSome = (text) => text.includes("\uDBFE");  // the first half of each of them
  const original = (found, kept) => {
    if (kept !== undefined) return kept;
    const code = found.codePointAt(0);
    return code >= NOTHING ? DELIMITERS[code - NOTHING] : String.fromCodePoint(code - FIRST);
  };
  const exact = (text) => text.replace(STAND_IN, original);
  const standIn = (mark) => {
    const code = mark.codePointAt(0);
    return code < FIRST ? String.fromCodePoint(FIRST + code) : String.fromCodePoint(NOTHING - 1) + mark;
  };
  const EDGE = String.fromCodePoint(NOTHING);
  const isVerbatim = (text) => text.startsWith(EDGE) && text.endsWith(EDGE);
  const verbatim = (text) => EDGE + text.replace(/[\0-/:-@[-`{-\xff]|[\u{10F800}-\u{10F909}]/gu, standIn) + EDGE;

  const mended = new WeakMap();  // by node, what was put there: a text may hold signs that look like stand-ins
  const isNew = (node, text) => text && hasSome(text) && mended.get(node) !== text;
  const put = (node, text) => { mended.set(node, exact(text)); return mended.get(node); };

  function mendText(node) {
    if (!isNew(node, node.data)) return;
    node.data = put(node, node.data);
    const link = node.parentElement?.closest("a[href]");  // addresses stand as they were written, so text is address
    if (link?.textContent.startsWith("http")) link.href = link.textContent.match(/^[^<>"\s]*/)[0];
  }
  function mendLabel(element) {
    const label = element.getAttribute("aria-label");
    if (isNew(element, label)) element.setAttribute("aria-label", put(element, label));
  }
  function rewrite(area, text) {
    if (area.value === text) return;
    area.value = text;
    area.dispatchEvent(new Event("input", { bubbles: true }));
  }
  function mendEditor(area) {
    if (area.isConnected && isVerbatim(area.value)) rewrite(area, exact(area.value));
  }
  function mend(node) {
    if (node.nodeType === Node.TEXT_NODE) return mendText(node);
    if (node.nodeType !== Node.ELEMENT_NODE) return;
    const texts = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) mendText(texts.currentNode);
    mendLabel(node);
    node.querySelectorAll("[aria-label]").forEach(mendLabel);
    const areas = node.matches("textarea") ? [node] : node.querySelectorAll("textarea");
    for (const area of areas) [0, 1].forEach((wait) => setTimeout(mendEditor, wait * 30, area));  // it is filled later
  }
  new MutationObserver((records) => {
    for (const { type, target, addedNodes } of records) {
      const parent = target.nodeType === Node.TEXT_NODE ? target.parentElement : target;
      if (parent?.closest("#chatbot")) {
        if (type === "childList") addedNodes.forEach(mend);
        else if (type === "attributes") mendLabel(target);
        else mendText(target);
      } else addedNodes.forEach((node) => { if (node.querySelector?.("#chatbot")) mend(node); });
    }
  }).observe(document, { subtree: true, childList: true, characterData: true, attributeFilter: ["aria-label"] });

  // The button under an answer copies the answer, without the thought and the figures that stand beside it, and the one
  // of the whole conversation the questions and answers.
  let wanted = null;
  const written = (place) => [...(place?.querySelectorAll("[data-testid][aria-label]:not(:has(.thought-group))") ?? [])];
  const textOf = (message) => message.getAttribute("aria-label").replace(/^\w+'s message: /, "");
  const spoken = (message) => `${message.dataset.testid === "user" ? "user" : "assistant"}: ${textOf(message)}`;
  document.addEventListener("click", (event) => {
    const row = event.target.closest?.("#chatbot .message-buttons")?.previousElementSibling;
    const whole = event.target.closest?.('#chatbot [aria-label="Copy conversation"]');
    const texts = whole ? written(document.querySelector("#chatbot")).map(spoken) : written(row).map(textOf);
    wanted = texts.length ? texts.join(whole ? "\n\n" : "\n") : null;
    const areas = row ? document.querySelectorAll("#chatbot textarea") : [];
    for (const area of areas) {  // what is submitted is drawn before the server has seen it
      if (!isVerbatim(area.value)) rewrite(area, verbatim(area.value));
    }
    setTimeout(() => { wanted = null; areas.forEach(mendEditor); }, 0);
  }, true);
  const clipboard = navigator.clipboard;
  if (clipboard) {
    const write = clipboard.writeText.bind(clipboard);
    clipboard.writeText = (text) => write(wanted ?? exact(text));
  }
  document.addEventListener("copy", (event) => {  // how it is copied where a page has no clipboard
    const area = document.activeElement;
    if (area?.tagName !== "TEXTAREA" || area.parentElement !== document.body || !hasSome(area.value)) return;
    event.clipboardData.setData("text/plain", wanted ?? exact(area.value));
    event.preventDefault();
  }, true);
})();
