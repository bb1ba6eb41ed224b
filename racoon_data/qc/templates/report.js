(() => {
  const find = (id) => document.getElementById(id);
  const text = find("filter-text");
  const picks = { kind: find("filter-kind"), code: find("filter-code"), site: find("filter-site") };
  const cases = [...document.querySelectorAll(".case")];
  const words = new Map();
  const wordsOf = (one) => {
    if (!words.has(one)) words.set(one, `${one.textContent} ${one.dataset.words}`.toLowerCase());
    return words.get(one);
  };
  const fits = (one, wanted) =>
    (!picks.kind.value || one.dataset.kinds.split(" ").includes(picks.kind.value)) &&
    (!picks.code?.value || one.dataset.codes.split(" ").includes(picks.code.value)) &&
    (!picks.site?.value || one.dataset.site === picks.site.value) &&
    wanted.every((word) => wordsOf(one).includes(word));
  const show = () => {
    const wanted = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const one of cases) {
      const is_shown = fits(one, wanted);
      if (one.hidden === is_shown) one.hidden = !is_shown;
      shown += is_shown;
    }
    find("filter-count").textContent = `${shown} of ${cases.length} shown`;
    find("nothing").hidden = shown > 0;
  };
  const clear = () => {
    text.value = "";
    for (const pick of Object.values(picks)) if (pick) pick.value = "";
    show();
  };
  const step = (by) => {
    const shown = cases.filter((one) => !one.hidden);
    const now = shown.indexOf(document.activeElement?.closest(".case"));
    const next = shown[now < 0 ? 0 : Math.min(shown.length - 1, Math.max(0, now + by))];
    next?.focus();
    next?.scrollIntoView({ block: "start" });
  };
  const arrive = () => {
    const target = find(decodeURIComponent(location.hash.slice(1)));
    if (!target?.classList.contains("case")) return;
    if (target.hidden) clear();
    target.focus({ preventScroll: true });
    target.scrollIntoView();
  };
  text.addEventListener("input", show);
  for (const pick of Object.values(picks)) pick?.addEventListener("change", show);
  find("filter-clear").addEventListener("click", clear);
  window.addEventListener("hashchange", arrive);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const is_typing = ["INPUT", "SELECT", "TEXTAREA"].includes(document.activeElement?.tagName);
    if (event.key === "Escape" && is_typing) { clear(); document.activeElement.blur(); }
    if (is_typing) return;
    if (event.key === "/") { event.preventDefault(); text.focus(); }
    if (event.key === "j") step(1);
    if (event.key === "k") step(-1);
  });
  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const one of closed) one.open = true;
  });
  window.addEventListener("afterprint", () => { for (const one of closed) one.open = false; });
  show();
})();
