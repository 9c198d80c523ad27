// The week in figures: headline numbers, and charts that filter each other.
"use strict";

const Figures = (() => {
  const { get, make, number, percent, marketName, listing } = Page;
  const { weekdays: WEEKDAYS, types: TYPES, track_bins: TRACK_BINS, kinds: KINDS } = Page.lists;
  const { PLURAL } = Releases;
  const LONGEST = 24; // half minutes; what is longer is counted in the last bar
  const hasFiles = !Page.told.left_out.includes("data");
  let figures = null; // the figures document of the week
  let pairs = []; // by both markets: how many releases they share

  const counted = (releases, key) => releases.reduce((counts, release) => counts.set(key(release), (counts.get(key(release)) || 0) + 1), new Map());
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const shared = (one, other) => pairs[one][other] || 0;

  // --- headline figures --------------------------------------------------------------------------------------

  function headlines() {
    const [all, market] = [Week.listed(App.week, App.market()), App.market()];
    const fresh = all.filter((release) => Week.isNew(release, market)).length;
    const [here, everywhere] = [all.filter((release) => release.isHere).length, all.filter((release) => release.isEverywhere).length];
    const share = (count) => `${percent(count / (all.length || 1))} of the list`;
    const hours = sum(all.map((release) => release.ms)) / 3_600_000;
    return [
      { id: "releases", value: number(all.length), name: "releases listed", more: market === null ? `the first ${App.week.longest} of each market` : `its first ${all.length}` },
      { id: "new", value: number(fresh), name: "new this week", more: App.comparedWith() ? share(fresh) : "by their release date", show: "new" },
      { id: "here", value: number(here), name: market === null ? "in one market only" : "only here", more: share(here), show: "here" },
      { id: "everywhere", value: number(everywhere), name: `in all ${App.week.markets.length} markets`, more: share(everywhere), show: "everywhere" },
      { id: "hours", value: number(Math.round(hours)), unit: "h", name: "of music", more: `${number(sum(all.map((release) => release.tracks)))} tracks` },
    ];
  }

  function drawHeadlines() {
    const cards = headlines().map((figure) => {
      const inside = [make("b", { "data-value": figure.id }, figure.value, figure.unit ? make("small", {}, figure.unit) : null), make("span", {}, figure.name), make("em", {}, figure.more)];
      if (!figure.show) return make("div", { class: "kpi" }, ...inside);
      const pressed = App.state.show === figure.show;
      return make("button", { class: "kpi", type: "button", id: `kpi-${figure.id}`, "aria-pressed": String(pressed), onclick: () => App.go({ show: pressed ? "" : figure.show }) }, ...inside);
    });
    Page.keepFocus(() => get("figures").replaceChildren(...cards));
  }

  // --- the charts --------------------------------------------------------------------------------------------
  // Each: its question, its rows, what they say in a sentence, how they read as a table, what a click chooses, and
  // which set of the week's data it is made of.

  const FIGURES = {
    history: {
      question: () => `How much is new each week in ${App.place()}?`,
      rows: () => {
        const told = new Map(App.history.filter(([, market]) => market === (App.market() === null ? "all" : App.state.market)).map(([at, , albums, fresh]) => [at, { albums, fresh }]));
        const first = [...told.keys()].sort()[0];
        return [...App.index.weeks].reverse().flatMap(({ week, missing }) => {
          const found = told.get(week);
          const gone = App.market() === null ? Object.keys(missing) : App.state.market in missing ? [App.state.market] : [];
          const note = !found ? "no list" : gone.length ? `without ${Page.listing(gone.map(marketName))}` : week === first ? "new by release date" : "";
          const counts = found ? [found.fresh, found.albums - found.fresh] : [null, null];
          return KINDS.map((kind, order) => ({ week, kind, releases: counts[order], place: order, top: found ? found.albums : 0, note, mark: order === 0 && (!found || gone.length) ? "△" : "", isWhole: Boolean(found) && !gone.length && week !== first, chosen: week === App.week.week }));
        });
      },
      answer: (rows) => {
        const fresh = rows.filter((row) => row.kind === KINDS[0]);
        const whole = fresh.filter((row) => row.isWhole);
        const now = fresh.find((row) => row.chosen && row.releases !== null);
        const said = [now ? `${number(now.releases)} are new this week` : "", whole.length > 1 ? `${number(Math.round(sum(whole.map((row) => row.releases)) / whole.length))} in an average week` : ""].filter(Boolean).join("; ");
        const gaps = fresh.filter((row) => row.mark).length;
        return `${said}.${gaps ? ` △ ${gaps} ${gaps === 1 ? "week lacks a market and is" : "weeks lack a market and are"} not in the average.` : ""}`;
      },
      columns: [["Week", (row) => row.week], ["Were", (row) => row.kind], ["Releases", (row) => (row.releases === null ? "not known" : row.releases)], ["", (row) => row.note]],
      click: (row) => App.index.weeks.some((entry) => entry.week === row.week) && App.go({ week: row.week }),
      set: "history",
    },
    types: {
      set: "releases",
      question: () => "Albums, singles or compilations?",
      rows: () => {
        const releases = App.chosen("type");
        const counts = counted(releases, (release) => release.type);
        const limit = Math.max(1, ...counts.values()) * 1.15; // room for the longest bar's number
        return TYPES.map((type) => ({ type, limit, releases: counts.get(type) || 0, share: (counts.get(type) || 0) / (releases.length || 1), faded: Boolean(App.state.type) && App.state.type !== type }));
      },
      answer: (rows) => {
        const most = rows.reduce((best, row) => (row.releases > best.releases ? row : best));
        return most.releases ? `${percent(most.share)} are ${PLURAL[most.type]}.` : "None.";
      },
      columns: [["Type", (row) => row.type], ["Releases", (row) => row.releases], ["Share", (row) => percent(row.share)]],
      click: (row) => App.go({ type: App.state.type === row.type ? "" : row.type }),
    },
    tiles: {
      set: "overlap",
      question: () => (App.market() === null ? "Where is something that is nowhere else?" : `Who lists the same as ${App.place()}?`),
      rows: () => {
        const here = App.market();
        const only = counted(App.week.releases.filter((release) => release.isHere), (release) => release.markets[0]);
        const size = here === null ? 0 : shared(here, here);
        const rows = App.week.markets.map((market, at) => {
          const value = here === null ? only.get(at) || 0 : shared(here, at) / (size || 1);
          const [column, row] = Page.tiles[market] || [8 + (at % 4), 0]; // the sea in the north-east is free
          return { market, name: marketName(market), column, row, value, label: here === null ? `${value}` : `${Math.round(value * 100)}`, chosen: here === at, meaning: here === null ? `${value} releases are only here` : `${shared(here, at)} of ${size} releases in common` };
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
        if (App.market() === null) return `Most in ${listing(others.slice(0, 3).map((row) => `${row.name} (${row.value})`))}. The shade runs from the least to the most. Choose a tile to see one market.`;
        return `Most like it: ${listing(others.slice(0, 3).map((row) => `${row.name} (${percent(row.value)})`))}. Numbers are per cent of its list; the shade runs from the least to the most of them.`;
      },
      columns: [["Market", (row) => row.name], ["", (row) => row.meaning]],
      click: (row) => App.go({ market: App.state.market === row.market ? "" : row.market }),
      height: (width) => Math.max(220, Math.round((width * 8) / 12)),
    },
    reach: {
      set: "releases",
      question: () => "In how many markets is a release?",
      rows: () => {
        const counts = counted(App.chosen("show"), (release) => release.markets.length);
        return App.week.markets.map((_, at) => ({ markets: at + 0.55, markets_end: at + 1.45, label: at === 0 ? "1 market" : `${at + 1} markets`, releases: counts.get(at + 1) || 0 }));
      },
      answer: (rows) => {
        const total = sum(rows.map((row) => row.releases)) || 1;
        return `${percent(rows[0].releases / total)} in one market, ${percent(rows[rows.length - 1].releases / total)} in all ${rows.length}. The scale is logarithmic: short bars are longer than they would be.`;
      },
      columns: [["Listed in", (row) => row.label], ["Releases", (row) => row.releases]],
      hidesZeros: true,
    },
    likest: {
      set: "overlap",
      question: () => (App.market() === null ? "Which two markets are most alike?" : `Whose list is closest to that of ${App.place()}?`),
      rows: () => {
        const here = App.market();
        const share = (one, other) => shared(one, other) / (shared(one, one) + shared(other, other) - shared(one, other) || 1);
        const row = (name, one, other) => ({ name, share: share(one, other), market: App.week.markets[other], meaning: `${shared(one, other)} releases in common` });
        const pairs = here === null
          ? App.week.markets.flatMap((one, a) => App.week.markets.slice(a + 1).map((other, b) => row(`${marketName(one)} – ${marketName(other)}`, a, a + 1 + b)))
          : App.week.markets.map((other, at) => (at === here ? null : row(marketName(other), here, at))).filter(Boolean);
        return pairs.sort((one, other) => other.share - one.share).slice(0, 6);
      },
      answer: () => "Share of all that either lists.",
      columns: [["Markets", (row) => row.name], ["In common", (row) => percent(row.share)]],
      click: (row) => App.market() !== null && App.go({ market: row.market }),
    },
    overlap: {
      set: "overlap",
      question: () => "Which markets list the same?",
      rows: () =>
        figures.order.flatMap((one, placeOne) =>
          figures.order.map((other, placeOther) => {
            const both = shared(one, other);
            const either = shared(one, one) + shared(other, other) - both;
            return { market: App.week.markets[one], other: App.week.markets[other], place: placeOne, other_place: placeOther, share: one === other ? null : both / (either || 1), chosen: one === App.market() && one !== other, pair: `${marketName(App.week.markets[one])} – ${marketName(App.week.markets[other])}`, meaning: one === other ? `${both} releases` : `${both} in common, ${percent(both / (either || 1))} of what either lists` };
          }),
        ),
      answer: () => "Each market stands beside the one most like it, so blocks of one colour are groups of markets. Choose a cell to see its market.",
      columns: [["Markets", (row) => row.pair], ["", (row) => row.meaning]],
      tableRows: (rows) => rows.filter((row) => row.place < row.other_place).sort((one, other) => other.share - one.share).slice(0, 100),
      click: (row) => App.go({ market: App.state.market === row.market ? "" : row.market }),
      height: (width) => Math.max(260, Math.min(760, Math.round(width * 0.62), App.week.markets.length * 40 + 80)),
    },
    artists: {
      set: "artists",
      question: () => (App.market() === null ? "Which artists are in most markets?" : `Which artists in ${App.place()} are in most markets?`),
      rows: () =>
        figures.artists
          .filter(([, , markets]) => App.market() === null || markets.includes(App.market()))
          .slice(0, 16)
          .map(([id, artist, markets, releases, tracks], at, all) => ({
            id,
            // Two artists of one name are two rows.
            artist: all.slice(0, at).some((earlier) => earlier[1] === artist) ? `${artist} (${id.slice(0, 4)})` : artist, markets: markets.length,
            releases,
            tracks,
          })),
      answer: (rows) => {
        const all = rows.filter((row) => row.markets === App.week.markets.length).length;
        return rows.length ? `${all === rows.length ? "All of these" : `${all} of these`} are in every market; the larger the dot, the more tracks.` : "None.";
      },
      columns: [["Artist", (row) => row.artist], ["Markets", (row) => row.markets], ["Releases", (row) => row.releases], ["Tracks", (row) => row.tracks]],
    },
    weekdays: {
      set: "releases",
      question: () => "On which day do releases come out?",
      rows: () => {
        const counts = counted(App.chosen("weekday"), (release) => release.weekday);
        return WEEKDAYS.map((weekday) => ({ weekday, releases: counts.get(weekday) || 0, faded: Boolean(App.state.weekday) && App.state.weekday !== weekday }));
      },
      answer: (rows) => {
        const total = sum(rows.map((row) => row.releases));
        const most = rows.reduce((best, row) => (row.releases > best.releases ? row : best));
        return total ? `${percent(most.releases / total)} on a ${most.weekday}.` : "None with a whole date.";
      },
      columns: [["Day", (row) => row.weekday], ["Releases", (row) => row.releases]],
      click: (row) => App.go({ weekday: App.state.weekday === row.weekday ? "" : row.weekday }),
    },
    track_counts: {
      set: "releases",
      question: () => "How many tracks does a release have?",
      rows: () => {
        const bin = (tracks) => TRACK_BINS.find(([, last]) => last === null || tracks <= last)[0];
        const counts = counted(App.chosen(), (release) => `${bin(release.tracks)}/${release.type}`);
        return TRACK_BINS.flatMap(([tracks]) => TYPES.map((type) => ({ tracks, type, releases: counts.get(`${tracks}/${type}`) || 0 })));
      },
      answer: () => {
        const sorted = App.chosen().map((release) => release.tracks).sort((one, other) => one - other);
        return sorted.length ? `Half have ${number(sorted[Math.floor((sorted.length - 1) / 2)])} or fewer; the longest has ${number(sorted[sorted.length - 1])}.` : "None.";
      },
      columns: [["Tracks", (row) => row.tracks], ["Type", (row) => row.type], ["Releases", (row) => row.releases]],
      hidesZeros: true,
    },
    lengths: {
      set: "lengths",
      question: () => "How long is a track?",
      rows: () => {
        const counts = new Map();
        for (const [market, half, tracks] of figures.lengths) {
          if (App.market() !== null && market !== App.market()) continue;
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
        return middle ? `Half are shorter than ${middle.label.split("–")[1] || middle.label} minutes${App.market() === null ? ", counted in every market" : ""}.` : "None.";
      },
      columns: [["Minutes", (row) => row.label], ["Tracks", (row) => row.tracks]],
    },
    delays: {
      set: "delays",
      question: () => "How soon is a new release listed?",
      rows: () =>
        figures.delays
          .map(([market, releases, quartiles, mean]) => ({ market: App.week.markets[market], name: marketName(App.week.markets[market]), releases, low: quartiles[1], middle: quartiles[2], high: quartiles[3], mean, faded: App.market() !== null && market !== App.market() }))
          .sort((one, other) => one.mean - other.mean || one.name.localeCompare(other.name))
          .map((row, at) => ({ ...row, place: at })),
      answer: (rows) => {
        if (!rows.length) return "This needs a week before, to tell when a release was first listed.";
        const here = rows.find((row) => row.market === App.state.market);
        const mean = sum(rows.map((row) => row.mean)) / rows.length;
        return `${here ? `${here.name}: ${here.mean.toFixed(1)} days on average after its release; ` : ""}${mean.toFixed(1)} days over all markets. The dot is the average, the bar the middle half. Lists are read once a week.`;
      },
      columns: [["Market", (row) => row.name], ["New releases", (row) => row.releases], ["Days, average", (row) => row.mean.toFixed(1)], ["Middle half, days", (row) => `${row.low} to ${row.high}`]],
      click: (row) => App.go({ market: row.market }),
    },
  };

  /** All of a figure but its chart, which is given as something yet to be done. */
  function drawFrame(name, figure) {
    const holder = document.querySelector(`[data-figure="${name}"]`);
    if (!holder.childElementCount) {
      holder.append(
        make("figcaption", {}, make("h3"), make("p", { class: "answer" })),
        make("div", { class: "chart" }),
        make("details", {}, make("summary", {}, hasFiles ? "As a table, and as a file" : "As a table"), make("p", { class: "files" }), make("div", { class: "scroll", tabindex: "0", role: "region" })),
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
    return () => rows.length && Page.draw(name, chart, rows, { click: figure.click, height: figure.height, label: `${question} ${answer}` });
  }

  function fillTable(name, figure, rows = figure.rows()) {
    const details = document.querySelector(`[data-figure="${name}"] details`);
    if (!details.open) return;
    const shown = figure.tableRows ? figure.tableRows(rows) : figure.hidesZeros ? rows.filter((row) => row.releases) : rows;
    const region = details.querySelector(".scroll");
    region.setAttribute("aria-label", figure.question());
    region.replaceChildren(Page.smallTable(shown, figure.columns, figure.question()));
    const save = make("button", { type: "button", class: "link", onclick: () => Page.save(`new-releases-${App.week.week}-${name}.csv`, shown, figure.columns) }, "These rows as CSV");
    if (hasFiles) details.querySelector(".files").replaceChildren(save, ...App.files(figure.set, "What they are made of: "));
  }

  /** Draw what the week's figures say; `isCurrent` tells whether it is still asked for. */
  async function draw(found, isCurrent) {
    figures = found;
    pairs = App.week.markets.map(() => []);
    for (const [one, other, both] of found.overlap) pairs[one][other] = pairs[other][one] = both;
    for (const chart of Object.entries(FIGURES).map(([name, figure]) => drawFrame(name, figure))) {
      await chart();
      if (!isCurrent()) return;
    }
  }

  return { draw, drawHeadlines };
})();
