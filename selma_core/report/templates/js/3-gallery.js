// The judged images. Each prompt is a card that stays empty until it comes near the screen.
(() => {
  const place = document.getElementById("gallery");
  if (!place) return;
  const { variants, base, rows } = JSON.parse(document.getElementById("gallery-data").textContent);
  const control = name => document.getElementById(name);
  const kinds = { p: "image/png", j: "image/jpeg" };
  let store = null;  // parsed when the first image is wanted

  const make = (tag, text = "", style = "") => {
    const found = document.createElement(tag);
    if (text !== "") found.textContent = text;
    if (style) found.className = style;
    return found;
  };

  const picture = (cell, name) => {
    store ??= JSON.parse(document.getElementById("gallery-store").textContent);
    const text = store[cell[0]], code = text[0].toLowerCase(), image = make("img", "", text[0] === code ? "" : "pixels");
    image.alt = name;
    image.decoding = "async";
    image.draggable = false;
    image.src = `data:${kinds[code]};base64,${text.slice(1)}`;
    return image;
  };

  const failures = (row, cell) => {
    const [, , failed, asked] = cell;
    if (!failed) return make("span", "no questions", "soft");
    if (!failed.length) return make("span", `all ${asked} questions right`);
    const box = make("details"), list = make("ul");
    box.append(make("summary", `${failed.length} of ${asked} questions wrong`), list);
    list.append(...failed.map(index => make("li", row.q[index])));
    return box;
  };

  const caption = (row, cell, index) => {
    const found = make("figcaption"), name = make("span", variants[index].n);
    name.prepend(make("span", "", `swatch v${variants[index].c}`));
    if (cell[1] !== null) found.append(make("b", String(Math.round(10 * cell[1]) / 10)));
    found.append(name, failures(row, cell));
    return found;
  };

  const figure = (row, index) => {
    const found = make("figure"), cell = row.c[index];
    found.append(picture(cell, variants[index].n), caption(row, cell, index));
    return found;
  };

  const pair = (row, indices) => {
    const cells = indices.map(index => row.c[index]), names = indices.map(index => variants[index].n);
    if (cells.some(cell => !cell)) return make("p", `no image of ${names.filter((_, i) => !cells[i]).join(" and ")}`, "soft");
    const box = make("div", "", "pairing"), notes = make("div", "", "sides");
    notes.append(...indices.map((index, i) => { const side = make("div", "", "side"); side.append(caption(row, cells[i], index)); return side; }));
    box.append(duel(picture(cells[0], names[0]), picture(cells[1], names[1]), names), notes);
    return box;
  };

  const grid = row => {
    const found = make("div", "", "cells");
    found.append(...variants.map((_, index) => index).filter(index => row.c[index]).map(index => figure(row, index)));
    return found;
  };

  // --- controls -------------------------------------------------------------------------------------------
  const chosen = () => [control("left-variant"), control("right-variant")].map(select => Number(select.value));
  const two = () => document.querySelector("input[name=view]:checked").value === "two";
  const start = Math.max(0, variants.findIndex(variant => variant.n === base));
  [control("left-variant"), control("right-variant")].forEach((select, side) => {
    select.append(...variants.map((variant, index) => new Option(variant.n, index)));
    const last = variants.length - 1;
    select.value = side ? (last === start ? 0 : last) : start;
  });
  control("prompt-group").append(...[...new Set(rows.map(row => row.g))].filter(Boolean).map(group => new Option(group, group)));
  document.querySelector(`input[name=view][value=${variants.length > 8 ? "two" : "all"}]`).checked = true;

  const cards = rows.map(row => {
    const card = make("article", "", "card strip"), title = make("h3", row.t);
    if (row.g) title.append(" ", make("span", row.g, "tag"));
    if (row.k) title.append(" ", make("span", `sample ${row.k + 1}`, "tag"));
    card.append(title);
    return card;
  });
  const drawn = new Set();
  const clear = card => { while (card.childNodes.length > 1) card.lastChild.remove(); drawn.delete(card); };
  const draw = card => {
    if (drawn.has(card)) return;
    const row = rows[cards.indexOf(card)];
    card.append(two() ? pair(row, chosen()) : grid(row));
    drawn.add(card);
  };
  const watch = new IntersectionObserver(seen => seen.filter(one => one.isIntersecting).forEach(one => draw(one.target)), { rootMargin: "500px 0px" });

  const differ = row => { const [a, b] = chosen().map(index => row.c[index]); return a && b && a[1] !== b[1]; };
  const filter = () => {
    const words = control("prompt-filter").value.toLowerCase().split(/\s+/).filter(Boolean), group = control("prompt-group").value;
    let count = 0;
    rows.forEach((row, index) => {
      const text = `${row.t} ${row.g}`.toLowerCase();
      const wanted = words.every(word => text.includes(word)) && (!group || row.g === group) && (!two() || !control("prompt-differ").checked || differ(row));
      cards[index].hidden = !wanted;
      count += wanted;
    });
    control("prompt-count").textContent = `${count} of ${rows.length} prompts`;
  };
  const redraw = () => {
    for (const each of document.querySelectorAll("#images .pair")) each.hidden = !two();
    place.classList.toggle("wide-cards", !two());
    cards.forEach(card => { watch.unobserve(card); clear(card); });
    filter();
    cards.forEach(card => watch.observe(card));
  };
  for (const name of ["prompt-filter", "prompt-group", "prompt-differ"]) control(name).addEventListener("input", filter);
  for (const each of [control("left-variant"), control("right-variant"), ...document.querySelectorAll("input[name=view]")]) each.addEventListener("change", redraw);
  place.append(...cards);
  redraw();
})();
