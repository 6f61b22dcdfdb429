// What a tab of the browser keeps: its conversation, the moment that it changes, and what is typed but not sent.
// Each tab has a conversation of its own. The next tab goes on with the last one, if no open tab has it.
(() => {
  const CONVERSATION = "paddock-conversation-", MINE = "paddock-conversation", LAST = "paddock-last", RAW = "paddock-raw";
  const DRAFTS = "paddock-drafts", MOST = 10, WRITE_MS = 500;
  const TAB = "sessionStorage", BROWSER = "localStorage";  // by name: even to look at one may be forbidden
  const from = (place, key) => { try { return window[place].getItem(key); } catch { return null; } };
  const into = (place, key, text) => { try { window[place].setItem(key, text); return true; } catch { return false; } };
  const forget = (key) => { try { window[BROWSER].removeItem(key); } catch { /* nothing is kept */ } };
  const parsed = (text) => { try { return JSON.parse(text); } catch { return null; } };
  const stored = (id) => parsed(from(BROWSER, CONVERSATION + id));
  let mine = null, waiting = null, timer = null;

  // A lock lasts as long as its tab, so it tells whether another one has a conversation open. Plain HTTP has no locks.
  const claimed = (id) => new Promise((tell) => {
    if (!navigator.locks) return tell(id === from(TAB, MINE));
    navigator.locks.request(CONVERSATION + id, { ifAvailable: true }, (lock) => {
      tell(lock !== null);
      return lock && new Promise(() => {});
    });
  });
  async function claimedSoon(id) {  // a page that reloads may still hold its own for a moment
    for (let tries = 0; tries < 5; tries += 1) {
      if (await claimed(id)) return true;
      await new Promise((wake) => setTimeout(wake, 60));
    }
    return false;
  }
  async function openConversation() {
    const own = from(TAB, MINE), last = from(BROWSER, LAST);
    if (!own && new URL(window.location).searchParams.has("conversation")) return null;  // the link brings another
    const id = own || last, conversation = id && stored(id);
    if (!conversation) return null;
    if (own ? await claimedSoon(own) : await claimed(last)) { mine = id; into(TAB, MINE, id); return conversation; }
    return own || !navigator.locks ? { ...conversation, id: "", before: null } : null;  // a doubled tab has a copy
  }
  function keepOthers(most) {
    let keys = [];
    try { keys = Object.keys(localStorage); } catch { return; }
    const others = keys.filter((key) => key.startsWith(CONVERSATION) && key !== CONVERSATION + mine);
    const saved = (key) => parsed(from(BROWSER, key))?.saved || 0;
    others.sort((a, b) => saved(b) - saved(a)).slice(most).forEach((key) => forget(key));
  }
  function write() {
    clearTimeout(timer); timer = null;
    if (!waiting) return;
    const { id, turns, before } = waiting, text = JSON.stringify({ ...waiting, saved: Date.now() });
    waiting = null;
    if (!turns.length && !before) return;
    if (before) forget(CONVERSATION + before.id);  // this one holds it
    if (!into(BROWSER, CONVERSATION + id, text)) { keepOthers(0); into(BROWSER, CONVERSATION + id, text); }
    into(BROWSER, LAST, id);
  }
  window.addEventListener("pagehide", write);

  let drafts = null;  // null until those of the last page were put back
  // What a link says is what it says until somebody writes something else.
  const PARAMETERS = { "#message, #text": "prompt", "#system": "system" };
  document.addEventListener("input", ({ target }) => {
    const boxes = Object.keys(PARAMETERS).find((boxes) => target.closest?.(boxes)), address = new URL(window.location);
    if (!boxes || !address.searchParams.has(PARAMETERS[boxes])) return;
    address.searchParams.delete(PARAMETERS[boxes]); history.replaceState(null, "", address);
  });
  const linked = (name) => {
    const query = new URL(window.location).searchParams, completes = query.get("tab") === "complete";
    if (name === "system") return query.has("system");
    return query.has("prompt") && (name === "text" ? completes : name === "message" && !completes);
  };

  Object.assign(window.paddock, {
    openKept: async () => [await openConversation(), from(BROWSER, RAW) === "yes"],
    keepConversation(conversation) {
      if (!conversation?.id) return;
      if (conversation.id !== mine) {
        write();
        mine = conversation.id;
        into(TAB, MINE, mine);
        claimed(mine);
        keepOthers(MOST - 1);
      }
      waiting = conversation;
      if (timer === null) { write(); timer = setTimeout(write, WRITE_MS); }  // at once, then now and again
    },
    keepRaw: (raw) => { into(BROWSER, RAW, raw ? "yes" : "no"); },
    keepDraft(name, text) {
      if (!drafts) return;
      drafts[name] = text;
      into(TAB, DRAFTS, JSON.stringify(drafts));
    },
    openDrafts(names, texts) {
      drafts ||= parsed(from(TAB, DRAFTS)) || {};
      return names.map((name, at) => (name in drafts && !linked(name) ? drafts[name] : texts[at]));
    },
  });
  forget("paddock-conversation");  // where all tabs once kept the same one
})();
