// What both pages share: elements, numbers, the theme, and one drawn chart for each name.
"use strict";

const Page = (() => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const exported = document.getElementById("documents");
  const documents = exported && JSON.parse(exported.textContent);
  document.documentElement.toggleAttribute("data-exported", Boolean(documents));

  const get = (id) => document.getElementById(id);

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
  const day = (text) =>
    new Date(`${text}T00:00:00Z`).toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });

  const regions = new Intl.DisplayNames("en", { type: "region" });
  /** A market's name; an unknown code is its own name. */
  function marketName(code) {
    try {
      return regions.of(code);
    } catch {
      return code;
    }
  }

  /** A document by its path, from the server or, in the exported file, from the page itself. */
  async function ask(path) {
    if (documents) {
      if (path === "weeks/newest") path = `weeks/${documents.documents.weeks.weeks[0].week}`;
      if (path in documents.documents) return documents.documents[path];
      throw new Error(`this file does not hold ${path}`);
    }
    const response = await fetch(`/api/${path}`, { headers: { Accept: "application/json" } });
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

  // The chart library is the last script of the page; all have run when the document is there.
  const library = new Promise((there) => (window.vegaEmbed ? there() : addEventListener("DOMContentLoaded", there, { once: true })));

  const drawn = new Map();
  let drawing = Promise.resolve(); // one after the other: two drawings of one chart would mix

  /**
   * Draw a chart, or give its new rows to the one that is there. Its height may depend on its width.
   * The interpreter (`ast`) stands in for generated code, which the page's policy forbids.
   */
  function draw(...what) {
    drawing = drawing.catch(() => {}).then(() => library).then(() => drawNow(...what)); // whoever asked for the one before was told
    return drawing;
  }

  async function drawNow(name, holder, rows, { click, height, label } = {}) {
    const before = drawn.get(name);
    const width = holder.clientWidth;
    // To a screen reader a chart is one picture, told by a sentence, with a table below it.
    holder.setAttribute("role", "img");
    holder.setAttribute("aria-label", label);
    const specification = structuredClone(charts.specifications[name]);
    if (height) specification.height = height(width);
    // A step of the specification's is the height of one row; said as a sum, since Vega-Lite warns of a step in a fitted chart.
    else if (specification.height.step) specification.height = specification.height.step * rows.length;
    if (before && before.view && before.theme === theme() && before.height === specification.height && Math.abs(before.width - width) < 2) {
      before.click = click;
      await before.view.data("rows", rows).resize().runAsync();
      return;
    }
    if (before && before.view) before.view.finalize();
    specification.datasets = { rows };
    const state = { theme: theme(), width, height: specification.height, click };
    drawn.set(name, state);
    const result = await vegaEmbed(holder, specification, {
      actions: false,
      ast: true,
      config: charts.configs[theme()],
      defaultStyle: false,
      logLevel: 1, // errors alone
      mode: "vega-lite",
      renderer: "svg",
      tooltip: { disableDefaultStyle: true },
    });
    holder.querySelector("svg").setAttribute("aria-hidden", "true");
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

  /** Show the page as loading, empty, error or ready. */
  function enter(name) {
    get("main").dataset.state = name;
    get("main").setAttribute("aria-busy", String(name === "loading"));
    get("loading").hidden = name !== "loading";
    get("empty").hidden = name !== "empty";
    get("error").hidden = name !== "error";
    get("content").hidden = name !== "ready";
  }

  return { get, enter, make, number, percent, day, marketName, ask, theme, onTheme, draw, smallTable, tiles: charts.tiles, lists: charts.lists, madeAt: documents && documents.made_at };
})();
