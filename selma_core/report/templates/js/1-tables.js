"use strict";
// Tables: sorted by a click or a key on the head of a column; rows of variants filtered by name.
(() => {
  const number = cell => { const text = cell.dataset.v ?? cell.textContent; return text.trim() === "" ? NaN : Number.parseFloat(text); };
  const word = cell => (cell.dataset.v ?? cell.textContent).trim();

  // Cells without a value come last in both directions.
  const order = (kind, sign) => (a, b) => {
    if (kind === "text") return sign * word(a).localeCompare(word(b), "en", { numeric: true });
    const [x, y] = [number(a), number(b)];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
    return sign * (x - y);
  };

  const sort = (table, heads, index) => {
    const head = heads[index], kind = head.dataset.sort;
    const first = kind === "text" ? "ascending" : "descending";
    const next = head.ariaSort === first ? (first === "ascending" ? "descending" : "ascending") : first;
    for (const other of heads) if (other.dataset.sort) other.ariaSort = "none";
    head.ariaSort = next;
    const compare = order(kind, next === "ascending" ? 1 : -1), body = table.tBodies[0];
    body.append(...[...body.rows].sort((a, b) => compare(a.cells[index], b.cells[index])));
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, index) => {
      if (!head.dataset.sort) return;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sorter";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, heads, index));
      head.append(button);
      head.ariaSort = "none";
    });
  }

  const filter = document.getElementById("variant-filter");
  if (filter) {
    const rows = [...document.querySelectorAll("tr[data-variant]")];
    const all = new Set([...document.querySelectorAll("table.variants tr[data-variant]")].map(row => row.dataset.variant));
    const apply = () => {
      const wanted = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      const shown = name => wanted.every(part => name.toLowerCase().includes(part));
      for (const row of rows) row.hidden = !shown(row.dataset.variant);
      const count = [...all].filter(shown).length;
      document.getElementById("variant-count").textContent = wanted.length ? `${count} of ${all.size} variants, in every table` : "";
    };
    filter.addEventListener("input", apply);
    apply();
  }
  for (const each of document.querySelectorAll(".scripted")) each.hidden = false;
})();
