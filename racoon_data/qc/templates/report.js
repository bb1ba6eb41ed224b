(() => {
  const text = document.getElementById("filter-text");
  const kind = document.getElementById("filter-kind");
  const count = document.getElementById("filter-count");
  const cases = [...document.querySelectorAll(".case")];
  const words = new Map(cases.map((one) => [one, one.dataset.words.toLowerCase()]));
  const show = () => {
    const wanted = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const one of cases) {
      const fits = wanted.every((word) => words.get(one).includes(word)) && (!kind.value || one.dataset.kinds.split(" ").includes(kind.value));
      one.hidden = !fits;
      shown += fits;
    }
    count.textContent = `${shown} of ${cases.length} shown`;
  };
  text.addEventListener("input", show);
  kind.addEventListener("change", show);
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== text) { event.preventDefault(); text.focus(); }
    if (event.key === "Escape" && document.activeElement === text) { text.value = ""; show(); }
  });
  window.addEventListener("hashchange", () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.hidden) { text.value = ""; kind.value = ""; show(); target.scrollIntoView(); }
  });
  show();
})();
