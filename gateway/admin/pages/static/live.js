"use strict";
// What pages do beside being read; each of them works without this.

// A page that answers a form stands where the form was: loading it anew sends nothing again. Why something was refused is read first.
(() => {
  const main = document.querySelector("main[data-address]");
  if (main) history.replaceState(history.state, "", main.dataset.address);
  const errors = document.querySelector(".errors[tabindex]");
  if (errors) errors.focus();
})();

// Regions that the server keeps up to date: <main data-live="/address"> and elements with an id inside.
(() => {
  const main = document.querySelector("main[data-live]");
  if (!main || !window.EventSource) return;
  const lost = document.getElementById("live-lost");
  const waiting = new Map();
  let source = null;

  // The same element of a region that was made anew: by its id, else by what it says and where it leads.
  const said = (one) => [one.textContent, one.getAttribute("href"), one.getAttribute("aria-label")].join("\n");
  const twin = (fresh, one) =>
    one.id ? fresh.querySelector("#" + CSS.escape(one.id)) : [...fresh.querySelectorAll(one.tagName)].find((each) => said(each) === said(one));
  const isChanged = (one) =>
    one.options
      ? [...one.options].some((each) => each.selected !== each.defaultSelected)
      : one.type !== "hidden" && (one.value !== one.defaultValue || one.checked !== one.defaultChecked);

  const show = (id, html) => {
    const region = document.getElementById(id);
    if (!region) return;
    const fresh = region.cloneNode(false);
    fresh.innerHTML = html;
    const active = region.contains(document.activeElement) ? document.activeElement : null;
    // A form that was refused keeps saying why, for as long as what it does can be done; what it is sent with is the newest.
    for (const one of region.querySelectorAll("details:has(.error)")) {
      const same = twin(fresh, one.querySelector("summary"))?.parentElement;
      if (!same) continue;
      const copy = one.cloneNode(true);
      for (const field of copy.querySelectorAll("input[type=hidden]")) {
        const newer = same.querySelector(`input[name="${CSS.escape(field.name)}"]`);
        if (newer) field.setAttribute("value", newer.value);
      }
      same.replaceWith(copy);
    }
    const changed = [...region.querySelectorAll("input, select, textarea")].filter(isChanged);
    // What somebody is in the middle of, and would lose, is not taken away under their hands.
    if ([...changed, ...(active ? [active] : [])].some((one) => !twin(fresh, one)) || region.querySelector("dialog[open]")) {
      waiting.set(id, html);
      return;
    }
    waiting.delete(id);
    for (const one of changed) {
      const same = twin(fresh, one);
      same.value = one.value;
      same.checked = one.checked;
    }
    for (const one of region.querySelectorAll("details[open] > summary")) {
      const same = twin(fresh, one);
      if (same) same.parentElement.open = true;
    }
    if (fresh.innerHTML === region.innerHTML) return;
    const focused = active && twin(fresh, active);
    region.replaceChildren(...fresh.childNodes);
    if (!focused) return;
    focused.focus({ preventScroll: true });
    if (typeof active.selectionStart === "number") focused.setSelectionRange(active.selectionStart, active.selectionEnd);
  };
  const open = () => {
    if (source || document.hidden) return;
    source = new EventSource(main.dataset.live);
    source.onmessage = (event) => {
      const { id, html } = JSON.parse(event.data);
      show(id, html);
      if (lost) lost.hidden = true;
    };
    source.onerror = () => {
      // A stream that ended in good order is opened again at once; one that was refused stays closed.
      const failed = source;
      setTimeout(() => {
        if (lost && source === failed && failed && failed.readyState !== EventSource.OPEN) lost.hidden = false;
      }, 8000);
    };
  };
  const close = () => {
    if (source) source.close();
    source = null;
  };
  // A browser opens six connections at most, so a page that nobody looks at gives its own back.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  document.addEventListener("focusout", () => setTimeout(() => waiting.forEach((html, id) => show(id, html)), 0));
  window.addEventListener("pagehide", close);
  open();
})();

// Fields of a route say with which modes they say something: those of the mode that is chosen are shown, and sent.
document.querySelectorAll("form").forEach((form) => {
  const parts = form.querySelectorAll("[data-modes]");
  if (!parts.length) return;
  const choose = () => {
    const mode = new FormData(form).get("mode");
    parts.forEach((part) => {
      part.hidden = !part.dataset.modes.split(" ").includes(mode);
      part.querySelectorAll("input, select, textarea").forEach((one) => (one.disabled = part.hidden));
    });
  };
  form.addEventListener("change", choose);
  window.addEventListener("pageshow", choose);
  choose();
});

// An explanation that is shown is put away with Escape (WCAG 1.4.13).
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const active = document.activeElement;
  if (active && active.classList.contains("word")) active.blur();
});

// On paper everything is unfolded.
window.addEventListener("beforeprint", () => document.querySelectorAll("details.fold").forEach((one) => (one.open = true)));

// A form is sent once, however often its button is pressed.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || event.defaultPrevented) return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "yes";
  // Whoever stopped it, or got no answer, tries again without loading the page anew.
  setTimeout(() => delete form.dataset.sent, 10000);
});
window.addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent));
