// What both pages share: elements, numbers, the theme, and one drawn chart for each name.
"use strict";

const Page = (() => {
  const told = JSON.parse(document.getElementById("told").textContent);
  const exported = document.getElementById("documents");
  const documents = exported && JSON.parse(exported.textContent);
  document.documentElement.toggleAttribute("data-exported", Boolean(documents));
  document.documentElement.toggleAttribute("data-embedded", new URLSearchParams(location.search).has("embed"));

  const get = (id) => document.getElementById(id);
  get("no-script").remove(); // stands there for whoever's browser does not run this, or did not get it

  /** An element: make("a", {href: "/"}, "text", child). Text is only ever text. */
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  const whole = new Intl.NumberFormat("en");
  const number = (value) => whole.format(value);
  const percent = (value) => `${Math.round(value * 100)} %`;
  const days = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });
  const day = (text) => days.format(new Date(`${text}T00:00:00Z`));
  /** The same in short: 23 Nov 2026. */
  const shortDay = (text) => day(text).replace(/ (\w{3})\w* /, " $1 ");

  const regions = new Intl.DisplayNames("en", { type: "region" });
  /** A market's name; an unknown code is its own name. */
  function marketName(code) {
    try {
      return regions.of(code);
    } catch {
      return code;
    }
  }

  /** A moment in the reader's own zone, which is named. */
  const moment = (text, options = { day: "numeric", month: "short" }) =>
    new Date(text).toLocaleString("en-GB", { ...options, hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short" });

  /** Names in a sentence: "a, b and c". */
  const listing = (names) => names.join(", ").replace(/, ([^,]*)$/, " and $1");

  /** A document by its path, from the server or, in the exported file, from the page itself. */
  async function ask(path) {
    if (documents) {
      if (path === "weeks/newest") path = `weeks/${documents.documents.weeks.weeks[0].week}`;
      if (path in documents.documents) return documents.documents[path];
      throw new Error(`this file does not hold ${path}`);
    }
    const response = await fetch(`/api/${path}`).catch(() => {
      throw new Error(navigator.onLine ? "the server does not answer" : "this device has no connection to the network");
    });
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new Error(answer.fault || `the server answered ${response.status}`);
    return answer;
  }

  // --- theme -------------------------------------------------------------------------------------------------

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const themes = ["auto", "light", "dark"];
  const remembered = () => {
    try {
      return localStorage.getItem("theme");
    } catch {
      return null; // a file or a strict browser may have no storage; the system's theme will do
    }
  };
  let chosen = themes.includes(remembered()) ? remembered() : "auto";
  const theme = () => (chosen === "auto" ? (dark.matches ? "dark" : "light") : chosen);

  function applyTheme() {
    if (chosen === "auto") document.documentElement.removeAttribute("data-theme");
    else document.documentElement.setAttribute("data-theme", chosen);
    get("theme-name").textContent = { auto: "System", light: "Light", dark: "Dark" }[chosen];
    get("theme").setAttribute("aria-label", `Theme: ${chosen === "auto" ? "as the system" : chosen}. Change`);
  }

  function onTheme(redraw) {
    applyTheme();
    get("theme").addEventListener("click", () => {
      chosen = themes[(themes.indexOf(chosen) + 1) % themes.length];
      try {
        localStorage.setItem("theme", chosen);
      } catch {
        // not remembered, but applied
      }
      applyTheme();
      redraw();
    });
    dark.addEventListener("change", redraw);
  }

  // --- charts ------------------------------------------------------------------------------------------------

  // A served page asks for the large chart library when its first chart is drawn; a file holds it, as its last script.
  let asked = null;
  const library = () => (asked ??= new Promise((there, failed) => {
    if (window.vegaEmbed) there();
    else if (told.library) document.head.append(make("script", { src: told.library, onload: there, onerror: () => failed(new Error("the charts' script does not come")) }));
    else addEventListener("DOMContentLoaded", there, { once: true });
  }));

  const drawn = new Map();
  let drawing = Promise.resolve(); // one after the other: two drawings of one chart would mix

  const breath = () => new Promise((taken) => setTimeout(taken)); // between two charts the page answers whoever uses it

  /**
   * Draw a chart, or give its new rows to the one that is there. Its height may depend on its width.
   * The interpreter (`ast`) stands in for generated code, which the page's policy forbids.
   */
  function draw(...what) {
    drawing = drawing.catch(() => {}).then(library).then(breath).then(() => drawNow(...what)); // whoever asked for the one before was told
    return drawing;
  }

  async function drawNow(name, holder, rows, { click, height, label } = {}) {
    const before = drawn.get(name);
    const width = holder.clientWidth;
    // To a screen reader a chart is one picture, told by a sentence, with a table below it.
    holder.setAttribute("role", "img");
    holder.setAttribute("aria-label", label);
    const told = charts[name].height;
    const tall = height ? height(width) : told.step ? told.step * rows.length : told; // a step is the height of one row
    if (before && before.view && before.theme === theme() && before.height === tall && Math.abs(before.width - width) < 2) {
      before.click = click;
      await before.view.data("rows", rows).resize().runAsync();
      return;
    }
    if (before && before.view) before.view.finalize();
    const chart = structuredClone(charts[name][theme()]);
    const data = chart.data.map((one) => (one.name === "rows" ? { ...one, values: rows } : one));
    const state = { theme: theme(), width, height: tall, click };
    drawn.set(name, state);
    const result = await vegaEmbed(holder, { ...chart, width, height: tall, data }, {
      actions: false,
      ast: true,
      defaultStyle: false,
      logLevel: 1, // errors alone
      mode: "vega",
      renderer: "svg",
      tooltip: { disableDefaultStyle: true },
    });
    holder.querySelector("svg, canvas").setAttribute("aria-hidden", "true");
    state.view = result.view;
    state.view.addEventListener("click", (_event, item) => item && item.datum && state.click && state.click(item.datum));
  }

  /** A table of a chart's rows, for whoever does not read charts. `columns` is [[heading, row => value], …]. */
  function smallTable(rows, columns, caption) {
    const cell = (tag, value, extra) => make(tag, { class: typeof value === "number" ? "n" : null, ...extra }, typeof value === "number" ? number(value) : value);
    return make(
      "table",
      { class: "small" },
      make("caption", { class: "sr" }, caption),
      make("thead", {}, make("tr", {}, ...columns.map(([heading, value]) => make("th", { scope: "col", class: rows.length && typeof value(rows[0]) === "number" ? "n" : null }, heading)))),
      make("tbody", {}, ...rows.map((row) => make("tr", {}, ...columns.map(([, value]) => cell("td", value(row)))))),
    );
  }

  /** Give the reader a file of rows. `columns` as in `smallTable`. */
  function save(name, rows, columns) {
    const cell = (value) => {
      const text = String(value ?? "");
      const harmless = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text; // no formula in a spreadsheet
      return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
    };
    const lines = [columns.map(([heading]) => heading), ...rows.map((row) => columns.map(([, value]) => value(row)))];
    const text = `\ufeff${lines.map((line) => line.map(cell).join(",")).join("\r\n")}\r\n`;
    const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    make("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  }

  /** Replace elements without taking the keyboard's place away. */
  function keepFocus(change) {
    const focused = document.activeElement && document.activeElement.id;
    change();
    if (focused && get(focused)) get(focused).focus({ preventScroll: true });
  }

  const spotify = (kind, id) => `https://open.spotify.com/${kind}/${encodeURIComponent(id)}`;

  /** A cover as it is, never cropped; where there is none, or it does not come, a plain field of the same size. */
  function cover(images, name, title) {
    const embedded = documents && documents.documents.covers[name];
    const address = embedded || (told.images && name && `${images}/${name}`);
    const holder = make("span", { class: "cover" });
    if (address) holder.append(make("img", { src: address, alt: "", width: 300, height: 300, loading: "lazy", decoding: "async", referrerpolicy: "no-referrer", onerror: () => holder.replaceChildren(blank(title)) }));
    else holder.append(blank(title));
    return holder;
  }
  const hasCovers = Boolean(documents ? Object.keys(documents.documents.covers).length : told.images);
  const blank = (title) => make("span", { class: "blank", "aria-hidden": "true" }, [...title].find((letter) => /[\p{L}\p{N}]/u.test(letter)) || "♪");

  /** Show the page as loading, empty, error or ready. */
  function enter(name) {
    get("main").dataset.state = name;
    get("main").setAttribute("aria-busy", String(name === "loading"));
    get("loading").hidden = name !== "loading";
    get("empty").hidden = name !== "empty";
    get("error").hidden = name !== "error";
    get("content").hidden = name !== "ready";
  }

  return { get, enter, make, number, percent, day, shortDay, moment, listing, marketName, ask, theme, onTheme, library, draw, smallTable, save, keepFocus, spotify, cover, hasCovers, told, tiles: told.tiles, lists: told.lists, madeAt: documents && documents.made_at };
})();
