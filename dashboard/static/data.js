// The data page: what the address asks for, one week's document, and the figures made of it.
"use strict";

(() => {
  const { get, enter, make, number, percent, day, marketName } = Page;
  const { weekdays: WEEKDAYS, types: TYPES, track_bins: TRACK_BINS, kinds: KINDS } = Page.lists;
  const PLURAL = { album: "albums", single: "singles", compilation: "compilations" };
  const FIRST_ROWS = 25;
  const PICKS = 6;
  const LONGEST = 24; // half minutes; what is longer is counted in the last bar

  let index = null; // the weeks document
  let week = null; // the decoded week
  let state = read();
  let shownRows = FIRST_ROWS;
  let sort = { column: "markets", descending: true };

  // --- the address -------------------------------------------------------------------------------------------

  function read() {
    const query = new URLSearchParams(location.search);
    const one = (name, allowed) => (allowed.includes(query.get(name)) ? query.get(name) : "");
    return {
      market: (query.get("market") || "").toUpperCase(),
      week: query.get("week") || "",
      type: one("type", TYPES),
      weekday: one("weekday", WEEKDAYS),
      show: one("show", ["new", "here", "everywhere"]),
      q: query.get("q") || "",
    };
  }

  /** Change what is asked for: a step in the history, or (typing) the same step again. */
  function go(change, { replace = false } = {}) {
    state = { ...state, ...change };
    shownRows = FIRST_ROWS;
    const query = new URLSearchParams(Object.entries(state).filter(([, value]) => value));
    const address = query.size ? `?${query}` : location.pathname;
    history[replace ? "replaceState" : "pushState"](null, "", address);
    return show();
  }

  // --- one week, decoded ------------------------------------------------------------------------------------

  function decode(found) {
    const place = Object.fromEntries(found.columns.map((name, number) => [name, number]));
    const releases = found.releases.map((row) => {
      const release = Object.fromEntries(found.columns.map((name) => [name, row[place[name]]]));
      return { ...release, name: release.name || "(untitled)", isHere: release.markets.length === 1, isEverywhere: release.markets.length === found.markets.length };
    });
    const shared = new Map();
    for (const [one, other, both] of found.overlap) shared.set(`${one}-${other}`, both).set(`${other}-${one}`, both);
    return { ...found, releases, shared: (one, other) => shared.get(`${one}-${other}`) || 0 };
  }

  /** The chosen market as a number, or null for all of them. */
  const chosen = () => (week.markets.includes(state.market) ? week.markets.indexOf(state.market) : null);
  const place = () => (chosen() === null ? "all markets" : marketName(state.market));
  const listed = () => week.releases.filter((release) => chosen() === null || release.markets.includes(chosen()));
  const isNew = (release) => (chosen() === null ? release.was_known === false : release.new_in.includes(chosen()));

  /** Whether a release fits what is chosen, leaving out one choice: a chart shows all of what it lets choose. */
  function fits(release, except) {
    if (except !== "type" && state.type && release.type !== state.type) return false;
    if (except !== "weekday" && state.weekday && release.weekday !== state.weekday) return false;
    if (except !== "show") {
      if (state.show === "new" && !isNew(release)) return false;
      if (state.show === "here" && !release.isHere) return false;
      if (state.show === "everywhere" && !release.isEverywhere) return false;
    }
    const wanted = state.q.trim().toLowerCase();
    return !wanted || `${release.name}\n${release.artists}`.toLowerCase().includes(wanted);
  }

  const chosenReleases = (except) => listed().filter((release) => fits(release, except));
  const counted = (releases, key) => releases.reduce((counts, release) => counts.set(key(release), (counts.get(key(release)) || 0) + 1), new Map());
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const listing = (names) => names.join(", ").replace(/, ([^,]*)$/, " and $1");

  // --- headline figures -------------------------------------------------------------------------------------

  function headlines() {
    const all = listed();
    const fresh = all.filter(isNew).length;
    const everywhere = all.filter((release) => release.isEverywhere).length;
    const here = all.filter((release) => release.isHere).length;
    const hours = sum(all.map((release) => release.ms)) / 3_600_000;
    const tracks = sum(all.map((release) => release.tracks));
    const before = index.history.find(([at, market]) => at === week.before && market === (state.market || "all"));
    const difference = before ? all.length - before[2] : 0;
    const change = !before ? "the first week there is" : difference === 0 ? "as many as the week before" : `${number(Math.abs(difference))} ${difference > 0 ? "more" : "fewer"} than the week before`;
    return [
      { id: "releases", value: number(all.length), name: "releases listed", more: change },
      { id: "new", value: week.before === null ? "–" : number(fresh), name: "new this week", more: week.before === null ? "nothing to compare with yet" : `${percent(fresh / (all.length || 1))} of the list`, show: "new" },
      { id: "here", value: number(here), name: chosen() === null ? "in one market only" : "only here", more: `${percent(here / (all.length || 1))} of the list`, show: "here" },
      { id: "everywhere", value: number(everywhere), name: `in all ${week.markets.length} markets`, more: `${percent(everywhere / (all.length || 1))} of the list`, show: "everywhere" },
      { id: "hours", value: number(Math.round(hours)), unit: "h", name: "of music", more: `${number(tracks)} tracks` },
    ];
  }

  function drawHeadlines() {
    const cards = headlines().map((figure) => {
      const inside = [make("b", { "data-value": figure.id }, figure.value, figure.unit ? make("small", {}, figure.unit) : null), make("span", {}, figure.name), make("em", {}, figure.more)];
      if (!figure.show) return make("div", { class: "kpi" }, ...inside);
      const pressed = state.show === figure.show;
      return make("button", { class: "kpi", type: "button", id: `kpi-${figure.id}`, "aria-pressed": String(pressed), onclick: () => go({ show: pressed ? "" : figure.show }) }, ...inside);
    });
    keepFocus(() => get("figures").replaceChildren(...cards));
  }

  /** Replace elements without taking the keyboard's place away. */
  function keepFocus(change) {
    const focused = document.activeElement && document.activeElement.id;
    change();
    if (focused && get(focused)) get(focused).focus({ preventScroll: true });
  }

  // --- the figures ------------------------------------------------------------------------------------------
  // Each: its question, its rows, what they say in a sentence, how they read as a table, what a click chooses.

  const FIGURES = {
    history: {
      question: () => `How much is new each week in ${place()}?`,
      rows: () =>
        index.history
          .filter(([, market, , fresh]) => market === (chosen() === null ? "all" : state.market) && fresh !== null)
          .flatMap(([at, , albums, fresh]) =>
            [[KINDS[0], fresh], [KINDS[1], albums - fresh]].map(([kind, releases], order) => ({ week: at, kind, releases, place: order, chosen: at === week.week })),
          ),
      answer: (rows) => {
        const fresh = rows.filter((row) => row.kind === KINDS[0]);
        if (!fresh.length) return "There is one week so far; the next one shows what changes.";
        const now = fresh.find((row) => row.week === week.week);
        const usual = sum(fresh.map((row) => row.releases)) / fresh.length;
        return `${now ? `${number(now.releases)} are new this week; ` : ""}${number(Math.round(usual))} in an average week.`;
      },
      columns: [["Week", (row) => row.week], ["Were", (row) => row.kind], ["Releases", (row) => row.releases]],
      click: (row) => index.weeks.some((entry) => entry.week === row.week) && go({ week: row.week }),
    },
    types: {
      question: () => "Albums, singles or compilations?",
      rows: () => {
        const releases = chosenReleases("type");
        const counts = counted(releases, (release) => release.type);
        const limit = Math.max(1, ...counts.values()) * 1.15; // room for the longest bar's number
        return TYPES.map((type) => ({ type, limit, releases: counts.get(type) || 0, share: (counts.get(type) || 0) / (releases.length || 1), faded: Boolean(state.type) && state.type !== type }));
      },
      answer: (rows) => {
        const most = rows.reduce((best, row) => (row.releases > best.releases ? row : best));
        return most.releases ? `Mostly ${PLURAL[most.type]}: ${percent(most.share)}.` : "None.";
      },
      columns: [["Type", (row) => row.type], ["Releases", (row) => row.releases], ["Share", (row) => percent(row.share)]],
      click: (row) => go({ type: state.type === row.type ? "" : row.type }),
    },
    tiles: {
      question: () => (chosen() === null ? "Where is something that is nowhere else?" : `Who lists the same as ${place()}?`),
      rows: () => {
        const here = chosen();
        const only = counted(week.releases.filter((release) => release.isHere), (release) => release.markets[0]);
        const size = here === null ? 0 : week.shared(here, here);
        const rows = week.markets.map((market, at) => {
          const value = here === null ? only.get(at) || 0 : week.shared(here, at) / (size || 1);
          const [column, row] = Page.tiles[market] || [8 + (at % 4), 0]; // the sea in the north-east is free
          return { market, name: marketName(market), column, row, value, label: here === null ? `${value}` : `${Math.round(value * 100)}`, chosen: here === at, meaning: here === null ? `${value} releases are only here` : `${week.shared(here, at)} of ${size} releases in common` };
        });
        // The market itself is always like itself; it must not make all others pale.
        const others = rows.filter((row) => !row.chosen || rows.length === 1).map((row) => row.value);
        const [least, most] = [Math.min(...others), Math.max(...others)];
        const isDark = Page.theme() === "dark";
        return rows.map((row) => {
          const shade = row.chosen ? most : row.value;
          const depth = (shade - least) / (most - least || 1);
          return { ...row, shade, strong: isDark ? depth <= 0.5 : depth > 0.72 }; // white on it is readable
        });
      },
      answer: (rows) => {
        const others = rows.filter((row) => !row.chosen).sort((one, other) => other.value - one.value);
        if (!others.length) return "There is one market.";
        if (chosen() === null) return `Most in ${listing(others.slice(0, 3).map((row) => `${row.name} (${row.value})`))}. Choose a tile to see one market.`;
        return `Most like it: ${listing(others.slice(0, 3).map((row) => `${row.name} (${percent(row.value)})`))}. Numbers are per cent of its list.`;
      },
      columns: [["Market", (row) => row.name], ["", (row) => row.meaning]],
      click: (row) => go({ market: state.market === row.market ? "" : row.market }),
      height: (width) => Math.max(220, Math.round((width * 8) / 12)),
    },
    reach: {
      question: () => "In how many markets is a release?",
      rows: () => {
        const counts = counted(chosenReleases("show"), (release) => release.markets.length);
        return week.markets.map((_, at) => ({ markets: at + 0.55, markets_end: at + 1.45, label: at === 0 ? "1 market" : `${at + 1} markets`, releases: counts.get(at + 1) || 0 }));
      },
      answer: (rows) => {
        const total = sum(rows.map((row) => row.releases)) || 1;
        return `${percent(rows[0].releases / total)} in one market, ${percent(rows[rows.length - 1].releases / total)} in all ${rows.length}.`;
      },
      columns: [["Listed in", (row) => row.label], ["Releases", (row) => row.releases]],
      hidesZeros: true,
    },
    likest: {
      question: () => (chosen() === null ? "Which two markets are most alike?" : `Whose list is closest to that of ${place()}?`),
      rows: () => {
        const here = chosen();
        const share = (one, other) => week.shared(one, other) / (week.shared(one, one) + week.shared(other, other) - week.shared(one, other) || 1);
        const row = (name, one, other) => ({ name, share: share(one, other), market: week.markets[other], meaning: `${week.shared(one, other)} releases in common` });
        const pairs = here === null
          ? week.markets.flatMap((one, a) => week.markets.slice(a + 1).map((other, b) => row(`${marketName(one)} – ${marketName(other)}`, a, a + 1 + b)))
          : week.markets.map((other, at) => (at === here ? null : row(marketName(other), here, at))).filter(Boolean);
        return pairs.sort((one, other) => other.share - one.share).slice(0, 6);
      },
      answer: () => "Share of all that either lists.",
      columns: [["Markets", (row) => row.name], ["In common", (row) => percent(row.share)]],
      click: (row) => chosen() !== null && go({ market: row.market }),
    },
    overlap: {
      question: () => "Which markets list the same?",
      rows: () =>
        week.order.flatMap((one, placeOne) =>
          week.order.map((other, placeOther) => {
            const both = week.shared(one, other);
            const either = week.shared(one, one) + week.shared(other, other) - both;
            return { market: week.markets[one], other: week.markets[other], place: placeOne, other_place: placeOther, share: one === other ? null : both / (either || 1), chosen: one === chosen() && one !== other, pair: `${marketName(week.markets[one])} – ${marketName(week.markets[other])}`, meaning: one === other ? `${both} releases` : `${both} in common, ${percent(both / (either || 1))} of what either lists` };
          }),
        ),
      answer: () => "Each market stands beside the one most like it, so blocks of one colour are groups of markets. Choose a cell to see its market.",
      columns: [["Markets", (row) => row.pair], ["", (row) => row.meaning]],
      tableRows: (rows) => rows.filter((row) => row.place < row.other_place).sort((one, other) => other.share - one.share).slice(0, 100),
      click: (row) => go({ market: state.market === row.market ? "" : row.market }),
      height: (width) => Math.max(260, Math.min(760, Math.round(width * 0.62), week.markets.length * 40 + 80)),
    },
    artists: {
      question: () => (chosen() === null ? "Which artists are in most markets?" : `Which artists in ${place()} are in most markets?`),
      rows: () =>
        week.artists
          .filter(([, , markets]) => chosen() === null || markets.includes(chosen()))
          .slice(0, 16)
          .map(([id, artist, markets, releases, tracks], at, all) => ({
            id,
            // Two artists of one name are two rows.
            artist: all.slice(0, at).some((earlier) => earlier[1] === artist) ? `${artist} (${id.slice(0, 4)})` : artist, markets: markets.length,
            releases,
            tracks,
          })),
      answer: (rows) => {
        const all = rows.filter((row) => row.markets === week.markets.length).length;
        return rows.length ? `${all === rows.length ? "All of these" : `${all} of these`} are in every market; the larger the dot, the more tracks.` : "None.";
      },
      columns: [["Artist", (row) => row.artist], ["Markets", (row) => row.markets], ["Releases", (row) => row.releases], ["Tracks", (row) => row.tracks]],
    },
    weekdays: {
      question: () => "On which day do releases come out?",
      rows: () => {
        const counts = counted(chosenReleases("weekday"), (release) => release.weekday);
        return WEEKDAYS.map((weekday) => ({ weekday, releases: counts.get(weekday) || 0, faded: Boolean(state.weekday) && state.weekday !== weekday }));
      },
      answer: (rows) => {
        const total = sum(rows.map((row) => row.releases));
        const most = rows.reduce((best, row) => (row.releases > best.releases ? row : best));
        return total ? `${percent(most.releases / total)} on a ${most.weekday}.` : "None with a whole date.";
      },
      columns: [["Day", (row) => row.weekday], ["Releases", (row) => row.releases]],
      click: (row) => go({ weekday: state.weekday === row.weekday ? "" : row.weekday }),
    },
    track_counts: {
      question: () => "How many tracks does a release have?",
      rows: () => {
        const bin = (tracks) => TRACK_BINS.find(([, last]) => last === null || tracks <= last)[0];
        const counts = counted(chosenReleases(), (release) => `${bin(release.tracks)}/${release.type}`);
        return TRACK_BINS.flatMap(([tracks]) => TYPES.map((type) => ({ tracks, type, releases: counts.get(`${tracks}/${type}`) || 0 })));
      },
      answer: () => {
        const sorted = chosenReleases().map((release) => release.tracks).sort((one, other) => one - other);
        return sorted.length ? `Half have ${number(sorted[Math.floor((sorted.length - 1) / 2)])} or fewer; the longest has ${number(sorted[sorted.length - 1])}.` : "None.";
      },
      columns: [["Tracks", (row) => row.tracks], ["Type", (row) => row.type], ["Releases", (row) => row.releases]],
      hidesZeros: true,
    },
    lengths: {
      question: () => "How long is a track?",
      rows: () => {
        const counts = new Map();
        for (const [market, half, tracks] of week.lengths) {
          if (chosen() !== null && market !== chosen()) continue;
          const at = Math.min(half, LONGEST - 1);
          counts.set(at, (counts.get(at) || 0) + tracks);
        }
        const last = Math.max(0, ...counts.keys());
        const clock = (half) => `${Math.floor(half / 2)}:${half % 2 ? "30" : "00"}`;
        return Array.from({ length: last + 1 }, (_, half) => ({ half, minutes: half / 2 + 0.02, minutes_end: (half + 1) / 2 - 0.02, label: half === LONGEST - 1 ? `${clock(half)} and more` : `${clock(half)}–${clock(half + 1)}`, tracks: counts.get(half) || 0 }));
      },
      answer: (rows) => {
        const total = sum(rows.map((row) => row.tracks));
        let seen = 0;
        const middle = rows.find((row) => (seen += row.tracks) >= total / 2);
        return middle ? `Half are shorter than ${middle.label.split("–")[1] || middle.label} minutes${chosen() === null ? ", counted in every market" : ""}.` : "None.";
      },
      columns: [["Minutes", (row) => row.label], ["Tracks", (row) => row.tracks]],
    },
    delays: {
      question: () => "How soon is a new release listed?",
      rows: () =>
        week.delays
          .map(([market, releases, quartiles, mean]) => ({ market: week.markets[market], name: marketName(week.markets[market]), releases, low: quartiles[1], middle: quartiles[2], high: quartiles[3], mean, faded: chosen() !== null && market !== chosen() }))
          .sort((one, other) => one.mean - other.mean || one.name.localeCompare(other.name))
          .map((row, at) => ({ ...row, place: at })),
      answer: (rows) => {
        if (!rows.length) return "This needs a week before, to tell what is new.";
        const here = rows.find((row) => row.market === state.market);
        const mean = sum(rows.map((row) => row.mean)) / rows.length;
        return `${here ? `${here.name}: ${here.mean.toFixed(1)} days on average after its release; ` : ""}${mean.toFixed(1)} days over all markets. The dot is the average, the bar the middle half. Lists are read once a week.`;
      },
      columns: [["Market", (row) => row.name], ["New releases", (row) => row.releases], ["Days, average", (row) => row.mean.toFixed(1)], ["Middle half, days", (row) => `${row.low} to ${row.high}`]],
      click: (row) => go({ market: row.market }),
    },
  };

  async function drawFigure(name, figure) {
    const holder = document.querySelector(`[data-figure="${name}"]`);
    if (!holder.childElementCount) {
      holder.append(
        make("figcaption", {}, make("h3"), make("p", { class: "answer" })),
        make("div", { class: "chart" }),
        make("details", {}, make("summary", {}, "As a table"), make("div", { class: "scroll", tabindex: "0", role: "region" })),
      );
      holder.querySelector("details").addEventListener("toggle", () => fillTable(name, figure));
    }
    const rows = figure.rows();
    const [question, answer] = [figure.question(), figure.answer(rows)];
    holder.querySelector("h3").textContent = question;
    holder.querySelector(".answer").textContent = answer;
    const chart = holder.querySelector(".chart");
    holder.hidden = !rows.length;
    fillTable(name, figure, rows);
    if (rows.length) await Page.draw(name, chart, rows, { click: figure.click, height: figure.height, label: `${question} ${answer}` });
  }

  function fillTable(name, figure, rows = figure.rows()) {
    const details = document.querySelector(`[data-figure="${name}"] details`);
    if (!details.open) return;
    const shown = figure.tableRows ? figure.tableRows(rows) : figure.hidesZeros ? rows.filter((row) => row.releases) : rows;
    const region = details.querySelector(".scroll");
    region.setAttribute("aria-label", figure.question());
    region.replaceChildren(Page.smallTable(shown, figure.columns, figure.question()));
  }

  // --- lists and the table ----------------------------------------------------------------------------------

  const link = (release) =>
    make("a", { class: "name", href: `https://open.spotify.com/album/${encodeURIComponent(release.id)}`, target: "_blank", rel: "noopener noreferrer", title: "Open on Spotify" }, release.name);

  function picks(id, heading, title, releases, filter, empty) {
    const shown = releases.slice(0, PICKS);
    get(id).replaceChildren(
      make("h3", { id: heading }, title),
      make("p", { class: "answer" }, releases.length ? `${number(releases.length)} ${releases.length === 1 ? "release" : "releases"}.` : empty),
      make("ol", {}, ...shown.map((release) => make("li", {}, link(release), make("span", { class: "where" }, filter === "here" && chosen() === null ? marketName(week.markets[release.markets[0]]) : release.type), make("span", { class: "by" }, release.artists)))),
    );
    if (releases.length > PICKS) {
      get(id).append(make("button", { class: "link", type: "button", onclick: () => { go({ show: filter }); get("list").scrollIntoView(); get("q").focus({ preventScroll: true }); } }, `All ${number(releases.length)} in the table`));
    }
  }

  function drawPicks() {
    const releases = chosenReleases("show");
    const here = releases.filter((release) => release.isHere);
    const every = releases.filter((release) => release.isEverywhere);
    picks("only-here", "h-here", chosen() === null ? "What is in one market only?" : `What is only in ${place()}?`, here, "here", "Nothing.");
    picks("everywhere", "h-every", "What is everywhere?", every, "everywhere", "Nothing.");
  }

  const COLUMNS = [
    { id: "name", name: "Release", value: (release) => release.name.toLowerCase() },
    { id: "type", name: "Type", value: (release) => release.type },
    { id: "released", name: "Released", value: (release) => release.released },
    { id: "tracks", name: "Tracks", value: (release) => release.tracks, isNumber: true },
    { id: "ms", name: "Length", value: (release) => release.ms, isNumber: true },
    { id: "markets", name: "Markets", value: (release) => release.markets.length, isNumber: true },
  ];

  function drawTable() {
    const column = COLUMNS.find(({ id }) => id === sort.column);
    const direction = sort.descending ? -1 : 1;
    const compare = (one, other) => (column.value(one) < column.value(other) ? -1 : column.value(one) > column.value(other) ? 1 : 0);
    const releases = chosenReleases().sort((one, other) => direction * compare(one, other) || one.name.localeCompare(other.name));
    keepFocus(() =>
      get("heads").replaceChildren(
        ...COLUMNS.map(({ id, name, isNumber }) =>
          make("th", { scope: "col", class: isNumber ? "n" : null, "aria-sort": sort.column === id ? (sort.descending ? "descending" : "ascending") : null },
            make("button", { type: "button", id: `sort-${id}`, onclick: () => { sort = { column: id, descending: sort.column === id ? !sort.descending : Boolean(isNumber) }; drawTable(); } }, name, make("span", { "aria-hidden": "true" }, sort.column === id ? (sort.descending ? " ↓" : " ↑") : "")),
          ),
        ),
      ),
    );
    get("rows").replaceChildren(...releases.slice(0, shownRows).map(tableRow));
    get("count").textContent = `${number(releases.length)} of ${number(listed().length)} releases`;
    get("none").hidden = releases.length > 0;
    get("more").hidden = releases.length <= shownRows;
    get("more").textContent = `Show ${number(Math.min(100, releases.length - shownRows))} more`;
  }

  function tableRow(release) {
    const minutes = Math.round(release.ms / 60_000);
    const length = minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
    const cell = (content, isNumber) => make("td", { class: isNumber ? "n" : null }, content);
    return make(
      "tr",
      { "data-id": release.id },
      make("td", {}, link(release), isNew(release) ? make("span", { class: "badge" }, "new") : null, make("div", { class: "by" }, release.artists)),
      cell(release.type),
      cell(release.released),
      cell(`${release.tracks} ${release.tracks === 1 ? "track" : "tracks"}`, true),
      cell(length, true),
      cell(release.isEverywhere ? "all" : release.isHere ? `only ${week.markets[release.markets[0]]}` : `${release.markets.length}`, true),
    );
  }

  // --- controls ---------------------------------------------------------------------------------------------

  function drawControls() {
    const markets = week.markets.map((code) => ({ code, name: marketName(code) })).sort((one, other) => one.name.localeCompare(other.name));
    get("market").replaceChildren(make("option", { value: "" }, `All ${markets.length} markets`), ...markets.map(({ code, name }) => make("option", { value: code }, name)));
    get("market").value = chosen() === null ? "" : state.market;
    get("week").replaceChildren(...index.weeks.map((entry) => make("option", { value: entry.week }, day(entry.week))));
    get("week").value = week.week;
    const at = index.weeks.findIndex((entry) => entry.week === week.week);
    get("older").disabled = at + 1 >= index.weeks.length;
    get("newer").disabled = at <= 0;
    for (const name of ["type", "show", "weekday", "q"]) if (get(name).value !== state[name]) get(name).value = state[name];
    const chips = [
      state.type && [PLURAL[state.type], { type: "" }],
      state.weekday && [`out on a ${state.weekday}`, { weekday: "" }],
      state.show && [{ new: "new this week", here: "only in one market", everywhere: "in every market" }[state.show], { show: "" }],
      state.q && [`“${state.q}”`, { q: "" }],
    ].filter(Boolean);
    get("filters").hidden = !chips.length;
    get("chips").replaceChildren(
      ...chips.map(([text, change]) => make("button", { class: "chip", type: "button", "aria-label": `Remove the filter ${text}`, onclick: () => go(change) }, `${text} ✕`)),
      ...(chips.length > 1 ? [make("button", { class: "chip plain", type: "button", onclick: clear }, "Clear all")] : []),
    );
  }

  const clear = () => go({ type: "", weekday: "", show: "", q: "" });

  function step(by) {
    const at = index.weeks.findIndex((entry) => entry.week === week.week) + by;
    if (index.weeks[at]) go({ week: index.weeks[at].week });
  }

  function drawTitle() {
    const where = chosen() === null ? "" : ` in ${place()}`;
    get("title").textContent = `What is new${where}`;
    get("kicker").textContent = `Spotify · week of ${day(week.week)}`;
    const all = listed();
    const fresh = all.filter(isNew).length;
    get("lead").textContent = week.before === null
      ? `${number(all.length)} releases are listed${where || ` in ${week.markets.length} European markets`}. It is the first week there is, so nothing can be called new yet.`
      : `${number(fresh)} of ${number(all.length)} releases listed${where || ` in ${week.markets.length} European markets`} were not there in the week of ${day(week.before)}.`;
    document.title = `New Releases${where} · ${week.week}`;
    get("announce").textContent = `${place()}, week of ${day(week.week)}: ${all.length} releases, ${fresh} new`;
  }

  // --- showing ----------------------------------------------------------------------------------------------

  function become(name) {
    enter(name);
    get("pick").hidden = name === "empty" || (name === "error" && !week);
  }

  let turn = 0;

  async function show() {
    const mine = ++turn;
    try {
      const wanted = state.week || (index && index.weeks.length ? index.weeks[0].week : "newest");
      if (!week || week.week !== wanted) {
        if (!week) become("loading");
        else get("main").setAttribute("aria-busy", "true");
        // Both at once; without an index the week cannot be shown, so it alone may fail unheard.
        const asked = Page.ask(`weeks/${wanted}`);
        asked.catch(() => {});
        if (!index) index = await Page.ask("weeks");
        if (mine !== turn) return;
        if (!index.weeks.length) return become("empty");
        const found = decode(await asked);
        if (mine !== turn) return; // a newer choice is on its way
        week = found;
      }
      become("ready");
      drawTitle();
      drawControls();
      drawHeadlines();
      drawPicks();
      drawTable();
      for (const [name, figure] of Object.entries(FIGURES)) {
        await drawFigure(name, figure);
        if (mine !== turn) return;
      }
      get("main").dataset.drawn = String(mine);
    } catch (error) {
      if (mine !== turn) return;
      get("error-text").textContent = `${error.message}.`;
      become("error");
    }
  }

  function redraw() {
    if (week && get("main").dataset.state === "ready") show();
  }

  get("weekday").append(...WEEKDAYS.map((weekday) => make("option", { value: weekday }, weekday)));
  get("pick").addEventListener("submit", (event) => event.preventDefault());
  get("market").addEventListener("change", (event) => go({ market: event.target.value }));
  get("week").addEventListener("change", (event) => go({ week: event.target.value }));
  get("older").addEventListener("click", () => step(1));
  get("newer").addEventListener("click", () => step(-1));
  for (const name of ["type", "show", "weekday"]) get(name).addEventListener("change", (event) => go({ [name]: event.target.value }));
  get("q").addEventListener("input", (event) => go({ q: event.target.value }, { replace: true }));
  get("clear").addEventListener("click", clear);
  get("more").addEventListener("click", () => { shownRows += 100; drawTable(); });
  get("retry").addEventListener("click", () => { index = null; week = null; become("loading"); show(); });
  addEventListener("popstate", () => { state = read(); show(); });
  let resized = 0;
  addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(redraw, 150); });
  if (Page.madeAt) get("made").textContent = `Made ${Page.madeAt}.`;
  Page.onTheme(redraw);
  show();
})();
