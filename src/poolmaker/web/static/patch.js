// Makes an element look like new HTML while keeping what a person holds: focus, scroll position,
// opened details, selection. Children with data-key are matched by it, others by their place.
(function () {
  "use strict";

  function sameKind(a, b) {
    return a.nodeType === b.nodeType && a.nodeName === b.nodeName &&
      (a.nodeType !== 1 || a.getAttribute("data-key") === b.getAttribute("data-key"));
  }

  function patchAttributes(old, fresh) {
    for (const { name, value } of Array.from(fresh.attributes)) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of Array.from(old.attributes)) {
      if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
    }
  }

  function patchNode(old, fresh) {
    if (old.nodeType === 3) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    } else if (old.nodeType === 1) {
      patchAttributes(old, fresh);
      patchChildren(old, fresh);
    }
  }

  function keyed(parent) {
    const found = new Map();
    for (const child of parent.children) {
      const key = child.getAttribute("data-key");
      if (key) found.set(key, child);
    }
    return found;
  }

  function patchChildren(old, fresh) {
    const byKey = keyed(old);
    let at = old.firstChild;
    for (const child of Array.from(fresh.childNodes)) {
      const key = child.nodeType === 1 && child.getAttribute("data-key");
      const match = key ? byKey.get(key) : null;
      if (match) {
        if (match !== at) old.insertBefore(match, at);
        patchNode(match, child);
        at = match.nextSibling;
      } else if (!key && at && sameKind(at, child)) {
        patchNode(at, child);
        at = at.nextSibling;
      } else {
        old.insertBefore(child, at);
      }
    }
    while (at) {
      const next = at.nextSibling;
      old.removeChild(at);
      at = next;
    }
  }

  window.poolmakerPatch = function (element, html) {
    const fresh = document.createElement("template");
    fresh.innerHTML = html;
    patchChildren(element, fresh.content);
  };
})();
