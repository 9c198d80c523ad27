// The data page: what the address asks for, what is asked of the server for it, and what is said of how true it is.
"use strict";

const App = {
  index: null, // the weeks document
  week: null, // the decoded week
  history: [],
  state: null,
  isServed: !Page.madeAt,
};

(() => {
  const { get, enter, make, number, day, shortDay, marketName, listing, told } = Page;
  const { weekdays: WEEKDAYS, types: TYPES } = Page.lists;
  const { PLURAL } = Releases;
  const LOOK = 20_000; // milliseconds between two looks for a run that has finished
  const DEFAULTS = { market: "", week: "", type: "", weekday: "", show: "", q: "", sort: "reach", view: Page.hasCovers ? "grid" : "list", with: "", album: "", artist: "" };
  const CHOICES = { type: TYPES, weekday: WEEKDAYS, show: ["new", "here", "everywhere"], sort: Week.ORDERS, view: ["grid", "list"] };
  const isEmbedded = document.documentElement.hasAttribute("data-embedded");
  const source = told.is_invented ? "Simulator" : "Spotify";
  const noFigures = told.left_out.includes("figures");

  // --- the address -------------------------------------------------------------------------------------------

  function read() {
    const query = new URLSearchParams(location.search);
    const one = (name) => (!CHOICES[name] || CHOICES[name].includes(query.get(name)) ? query.get(name) : null) || DEFAULTS[name];
    const state = Object.fromEntries(Object.keys(DEFAULTS).map((name) => [name, one(name)]));
    return { ...state, market: state.market.toUpperCase() };
  }
  App.state = read();

  App.address = (change) => {
    const wanted = { ...App.state, ...change };
    const query = new URLSearchParams(Object.entries(wanted).filter(([name, value]) => value && value !== DEFAULTS[name]));
    if (new URLSearchParams(location.search).has("embed")) query.set("embed", "1");
    return query.size ? `?${query}` : location.pathname;
  };

  /** Change what is asked for: a step in the history, or (typing) the same step again. */
  App.go = (change, { replace = false } = {}) => {
    history[replace ? "replaceState" : "pushState"](null, "", App.address(change));
    App.state = { ...App.state, ...change };
    Releases.reset();
    return show();
  };

  /** A click on an inner link, unless it asks for another window. */
  App.follow = (event, change) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    App.go(change).then(() => {
      scrollTo(0, 0);
      if (get("single-title")) get("single-title").focus({ preventScroll: true });
    });
  };

  // --- what is chosen ----------------------------------------------------------------------------------------

  /** The chosen market as the week's number, or null for all of them. */
  App.market = () => Week.numberOf(App.week, App.state.market);
  App.place = () => (App.market() === null ? "all markets" : marketName(App.state.market));
  App.chosen = (except) => Week.listed(App.week, App.market()).filter((release) => Week.fits(release, App.state, App.market(), except));
  /** The week that what is shown is compared with; none where the release date decides what is new. */
  App.comparedWith = () => (App.market() === null ? App.week.before : App.week.compared[App.state.market] || null);
  const entryOf = (week) => App.index.weeks.find((entry) => entry.week === week);
  const allMarkets = () => [...new Set(App.index.weeks.flatMap((entry) => entry.markets))].sort((one, other) => marketName(one).localeCompare(marketName(other)));

  /** Links to a set of the week's data, where there is a server that gives them. */
  App.files = (set, text) =>
    !App.isServed || told.left_out.includes("data")
      ? []
      : [make("span", {}, ` ${text}`, ...["csv", "parquet", "json"].flatMap((kind, at) => [at ? " · " : "", make("a", { href: `/data/${App.week.week}/${set}.${kind}`, download: true }, { csv: "CSV", parquet: "Parquet", json: "JSON" }[kind])]))];

  const decoded = new Map();
  /** A week's document, decoded once. */
  App.weekOf = async (week) => {
    if (!decoded.has(week)) decoded.set(week, Week.decode(await Page.ask(`weeks/${week}`)));
    return decoded.get(week);
  };

  // --- how true it is ----------------------------------------------------------------------------------------

  const weekLink = (week, text) => Releases.inner({ week: App.index.weeks[0].week === week ? "" : week }, text || day(week));
  const runLink = (week, text) => (App.isServed ? make("a", { href: `/runs/${week}`, target: isEmbedded ? "_blank" : null }, text) : "");
  /** Why a run is not in the table whole, and what its operator types next; a file is read where nothing can be typed. */
  const typeOf = (cause) => (cause && App.isServed ? make("span", {}, "Its operator types ", make("code", {}, cause.command), ". ") : "");
  const causeOf = (cause) => (cause && App.isServed ? make("span", {}, `Why: ${cause.what.replace(/\.$/, "")}. `, typeOf(cause)) : "");
  const STATES = { fetching: "is under way", loading: "is under way", failed: "has failed" };

  function warnings() {
    const found = [];
    const missing = App.week && !isGone() ? Object.entries(entryOf(App.week.week).missing) : [];
    if (missing.length) {
      const reasons = new Map();
      for (const [market, reason] of missing) reasons.set(reason, [...(reasons.get(reason) || []), marketName(market)]);
      found.push(["warn", make("b", {}, `${listing(missing.map(([market]) => marketName(market)))} ${missing.length === 1 ? "is" : "are"} missing in this week.`), ` Figures for all markets are without ${missing.length === 1 ? "it" : "them"}. Why: ${[...reasons].map(([reason, markets]) => `${reason}${reasons.size > 1 ? ` (${listing(markets)})` : ""}`).join("; ")}. `, typeOf(entryOf(App.week.week).cause), runLink(App.week.week, "See the run")]);
    }
    if (App.week && entryOf(App.week.week).state === "failed") found.push(["bad", make("b", {}, "The newest load of this week has failed."), " What is shown stood before. ", causeOf(entryOf(App.week.week).cause), runLink(App.week.week, "See the run")]);
    const newest = App.index.weeks.length ? App.index.weeks[0].week : "";
    for (const { week, state, cause } of App.index.others.filter((other) => other.week > newest && STATES[other.state])) found.push([state === "failed" ? "bad" : "info", make("b", {}, `The run of ${day(week)} ${STATES[state]}.`), " Its week is not in the table. ", causeOf(cause), runLink(week, "See the run")]);
    const older = App.week ? olderComparisons() : "";
    if (older) found.push(["info", older]);
    return found;
  }

  /** Which markets are compared with an older week than the others. */
  function olderComparisons() {
    const { before, compared, markets } = App.week;
    const one = App.market() !== null;
    if (!before) return "";
    const odd = (one ? [App.state.market] : markets).filter((market) => compared[market] !== before);
    const weeks = new Map();
    for (const market of odd) weeks.set(compared[market] || "", [...(weeks.get(compared[market] || "") || []), marketName(market)]);
    return [...weeks].map(([week, names]) => (week ? `${listing(names)} ${names.length === 1 ? "is" : "are"} compared with the week of ${day(week)}, the last with ${names.length === 1 ? "its" : "their"} list.` : `${listing(names)} ${names.length === 1 ? "has" : "have"} no earlier list: what is new there is told by the release date.`)).join(" ");
  }

  function drawBanners() {
    const all = [...(told.is_invented ? [["invented", make("b", {}, "Invented data."), " All of this comes from a simulator, not from Spotify."]] : []), ...(App.state.album || App.state.artist ? [] : warnings())];
    get("banners").replaceChildren(...all.map(([kind, ...parts]) => make("p", { class: `banner ${kind}` }, ...parts)));
  }

  const isGone = () => Boolean(App.state.market) && App.market() === null;

  /** A market that this week, or the table, does not have. */
  function drawGone() {
    const code = App.state.market;
    const weeks = App.index.weeks.filter((entry) => entry.markets.includes(code)).map((entry) => entry.week);
    const reason = entryOf(App.week.week).missing[code];
    get("gone-title").textContent = weeks.length ? `${marketName(code)} has no list in the week of ${day(App.week.week)}` : `There is no market ${code} in the table`;
    get("gone-text").replaceChildren(
      ...(weeks.length
        ? [reason ? `Why: ${reason}. ` : "", "The nearest weeks with its list: ", ...nearest(weeks).flatMap((week, at) => [at ? ", " : "", weekLink(week)]), "."]
        : ["There are: ", ...allMarkets().flatMap((market, at) => [at ? ", " : "", Releases.inner({ market }, marketName(market))]), "."]),
      " ", Releases.inner({ market: "" }, "Show all markets"),
    );
  }

  function nearest(weeks) {
    const [later, earlier] = [weeks.filter((week) => week > App.week.week), weeks.filter((week) => week < App.week.week)];
    return [...earlier.slice(0, 1), ...later.slice(-1)];
  }

  function drawUnknownWeek(wanted) {
    get("gone-title").textContent = `There is no week ${wanted} in the table`;
    const other = App.index.others.find(({ week }) => week === wanted);
    get("gone-text").replaceChildren(other ? `Its run ${STATES[other.state] || "is there"}. ` : "", causeOf(other && other.cause), "The newest are: ", ...App.index.weeks.slice(0, 6).flatMap(({ week }, at) => [at ? ", " : "", weekLink(week)]), ".");
    get("title").textContent = "What is new?";
    get("lead").textContent = "";
    get("kicker").textContent = `${source}, week by week`;
    become("gone");
  }

  // --- controls ----------------------------------------------------------------------------------------------

  function drawControls() {
    const codes = [...new Set([...App.week.markets, ...Object.keys(entryOf(App.week.week).missing)])].sort((one, other) => marketName(one).localeCompare(marketName(other)));
    const option = (code) => make("option", { value: code }, App.week.markets.includes(code) ? marketName(code) : `${marketName(code)} (missing)`);
    const strange = isGone() && !codes.includes(App.state.market) ? [make("option", { value: App.state.market }, App.state.market)] : [];
    get("market").replaceChildren(make("option", { value: "" }, `All ${App.week.markets.length} markets`), ...codes.map(option), ...strange);
    get("market").value = App.state.market;
    get("week").replaceChildren(...App.index.weeks.map((entry) => make("option", { value: entry.week }, `${shortDay(entry.week)}${Object.keys(entry.missing).length ? " (in part)" : ""}`)));
    get("week").value = App.week.week;
    const at = App.index.weeks.findIndex((entry) => entry.week === App.week.week);
    get("older").disabled = at + 1 >= App.index.weeks.length;
    get("newer").disabled = at <= 0;
    for (const name of ["type", "show", "weekday", "q", "sort"]) if (get(name).value !== App.state[name]) get(name).value = App.state[name];
    for (const view of CHOICES.view) get(`view-${view}`).setAttribute("aria-pressed", String(App.state.view === view));
    drawChips();
    get("export").replaceChildren(...App.files("releases", "This week's releases: "));
  }

  function drawChips() {
    const { type, weekday, show: shown, q } = App.state;
    const chips = [
      type && [PLURAL[type], { type: "" }],
      weekday && [`out on a ${weekday}`, { weekday: "" }],
      shown && [{ new: "new this week", here: "only in one market", everywhere: "in every market" }[shown], { show: "" }],
      q && [`“${q}”`, { q: "" }],
    ].filter(Boolean);
    get("filters").hidden = !chips.length;
    get("chips").replaceChildren(
      ...chips.map(([text, change]) => make("button", { class: "chip", type: "button", "aria-label": `Remove the filter ${text}`, onclick: () => App.go(change) }, `${text} ✕`)),
      ...(chips.length > 1 ? [make("button", { class: "chip plain", type: "button", onclick: clear }, "Clear all")] : []),
    );
  }

  const clear = () => App.go({ type: "", weekday: "", show: "", q: "" });

  function step(by) {
    const at = App.index.weeks.findIndex((entry) => entry.week === App.week.week) + by;
    if (App.index.weeks[at]) App.go({ week: App.index.weeks[at].week });
  }

  function drawTitle() {
    const where = App.market() === null ? "" : ` in ${App.place()}`;
    const all = Week.listed(App.week, App.market());
    const fresh = all.filter((release) => Week.isNew(release, App.market())).length;
    const counted = `${number(fresh)} of ${number(all.length)} releases${where || ` in ${App.week.markets.length} markets`}`;
    get("title").textContent = `What is new${where}`;
    const before = App.comparedWith();
    get("lead").textContent = before
      ? `${counted} are new since the week of ${day(before)}.`
      : `${counted} came out in the seven days before; there is no earlier list to compare with.`;
    get("basis").textContent = `Spotify's own list of what is new, read once a week: the first ${App.week.longest} releases of each market. What stands further down a list is not known here.`;
    document.title = `New Releases${where} · ${App.week.week}`;
    get("announce").textContent = `${App.place()}, week of ${day(App.week.week)}: ${all.length} releases, ${fresh} new`;
  }

  // --- showing -----------------------------------------------------------------------------------------------

  function become(name) {
    enter(name);
    get("gone").hidden = name !== "gone";
    get("single").hidden = name !== "single";
    get("hero").hidden = name === "single";
    get("pick").hidden = name === "empty" || (name !== "ready" && !App.week);
  }

  let turn = 0;

  /** The wanted week, decoded; null where the table is empty, undefined where it has no such week. */
  async function find(wanted) {
    // Both at once; without an index the week cannot be shown, so it alone may fail unheard.
    const asked = App.weekOf(wanted);
    asked.catch(() => {});
    App.index ??= await Page.ask("weeks");
    if (!App.index.weeks.length) return null;
    return wanted === "newest" || entryOf(wanted) ? asked : undefined;
  }

  async function show() {
    const mine = ++turn;
    const isCurrent = () => mine === turn;
    delete get("main").dataset.drawn;
    try {
      if (App.state.album || App.state.artist) return await showSingle(isCurrent);
      const wanted = App.state.week || (App.index && App.index.weeks.length ? App.index.weeks[0].week : "newest");
      if (!App.week || App.week.week !== wanted) {
        if (!App.week) become("loading");
        get("main").setAttribute("aria-busy", "true");
        const found = await find(wanted);
        if (!isCurrent()) return;
        if (!found) {
          App.week = null;
          if (found === null) become("empty");
          else drawUnknownWeek(wanted);
          drawBanners();
          return done();
        }
        App.week = found;
      }
      drawBanners();
      drawControls();
      get("kicker").textContent = `${source} · week of ${day(App.week.week)}`;
      if (isGone()) {
        get("title").textContent = "What is new?";
        get("lead").textContent = "";
        drawGone();
        become("gone");
        return done();
      }
      become("ready");
      drawTitle();
      Releases.draw();
      await showRest(isCurrent);
    } catch (error) {
      if (!isCurrent()) return;
      get("error-text").textContent = `${error.message}.`;
      get("lead").textContent = "";
      become("error");
    }

    /** What is further down the page. */
    async function showRest() {
      await Releases.drawn();
      if (!isCurrent()) return;
      if (!noFigures) Figures.drawHeadlines();
      const asked = noFigures ? null : Promise.all([Page.ask(`weeks/${App.week.week}/figures`), App.history.length ? { history: App.history } : Page.ask("history"), Page.library()]);
      if (asked) asked.catch(() => {}); // whoever waits for it is told
      await Releases.drawComparison();
      if (!isCurrent()) return;
      if (asked) {
        const [figures, past] = await asked;
        if (!isCurrent()) return;
        App.history = past.history;
        await Figures.draw(figures, isCurrent);
      }
      if (isCurrent()) done();
    }

    function done() {
      get("main").setAttribute("aria-busy", "false");
      get("main").dataset.drawn = String(mine);
    }

    async function showSingle() {
      get("main").setAttribute("aria-busy", "true");
      App.index ??= await Page.ask("weeks");
      get("single").replaceChildren();
      become("single");
      get("main").setAttribute("aria-busy", "true");
      drawBanners();
      const { title } = await (App.state.album ? Singles.album(App.state.album) : Singles.artist(App.state.artist));
      if (!isCurrent()) return;
      document.title = `${title} · New Releases`;
      done();
    }
  }

  const redraw = () => get("main").dataset.state === "ready" && show();

  // --- a run that finishes while one looks -------------------------------------------------------------------

  async function look() {
    if (!document.hidden && App.index) {
      try {
        const found = await Page.ask("weeks");
        if (JSON.stringify(found) !== JSON.stringify(App.index)) {
          decoded.clear();
          Object.assign(App, { index: found, week: null, history: [] });
          await show();
          get("announce").textContent = "The table has changed; this is how it is now.";
        }
        get("stale").hidden = true;
      } catch (error) {
        get("stale").hidden = false;
        get("stale").textContent = `What is shown may be old: ${error.message}.`;
      }
    }
    setTimeout(look, LOOK);
  }

  get("weekday").append(...WEEKDAYS.map((weekday) => make("option", { value: weekday }, weekday)));
  for (const form of ["pick", "tools"]) get(form).addEventListener("submit", (event) => event.preventDefault());
  get("market").addEventListener("change", (event) => App.go({ market: event.target.value }));
  get("week").addEventListener("change", (event) => App.go({ week: event.target.value, with: "" }));
  get("with").addEventListener("change", (event) => App.go({ with: event.target.value }));
  get("older").addEventListener("click", () => step(1));
  get("newer").addEventListener("click", () => step(-1));
  for (const name of ["type", "show", "weekday", "sort"]) get(name).addEventListener("change", (event) => App.go({ [name]: event.target.value }));
  for (const view of CHOICES.view) get(`view-${view}`).addEventListener("click", () => App.go({ view }));
  get("q").addEventListener("input", (event) => App.go({ q: event.target.value }, { replace: true }));
  get("clear").addEventListener("click", clear);
  get("more").addEventListener("click", Releases.more);
  get("retry").addEventListener("click", () => { Object.assign(App, { index: null, week: null }); decoded.clear(); become("loading"); show(); });
  addEventListener("popstate", () => { App.state = read(); show(); });
  let resized = 0;
  addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(redraw, 150); });
  if (Page.madeAt) get("made").textContent = `Made ${Page.madeAt}.`;
  for (const part of told.left_out) for (const holder of document.querySelectorAll(`[data-part="${part}"]`)) holder.hidden = true;
  get("kicker").textContent = `${source}, week by week`;
  get("source").hidden = get("source-real").hidden = told.is_invented;
  get("source-invented").hidden = !told.is_invented;
  Page.onTheme(redraw);
  show().then(() => App.isServed && setTimeout(look, LOOK));
})();
