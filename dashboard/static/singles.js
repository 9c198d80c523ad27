// One release, or one artist: a page of its own over the same address.
"use strict";

const Singles = (() => {
  const { get, make, number, day, shortDay, marketName } = Page;
  const { inner, credits, released, length } = Releases;

  const listen = (kind, id, name) => make("a", { class: "listen", href: Page.spotify(kind, id), target: "_blank", rel: "noopener noreferrer" }, "Listen on Spotify", make("span", { class: "sr" }, `: ${name}`));
  const clock = (ms) => `${Math.floor(ms / 60_000)}:${String(Math.floor((ms % 60_000) / 1000)).padStart(2, "0")}`;
  const heading = (name) => make("h1", { id: "single-title", tabindex: "-1", class: name.length > 60 ? "long" : null }, make("bdi", {}, name));
  const back = () => inner({ album: "", artist: "" }, "← The week's releases");

  /** In which market since when, and whether it is listed there still. `listed` is newest first. */
  function spans(listed) {
    const found = new Map();
    for (const [week, markets] of listed) for (const market of markets) {
      const span = found.get(market);
      found.set(market, { market, since: week, last: span ? span.last : week });
    }
    return [...found.values()].sort((one, other) => one.since.localeCompare(other.since) || marketName(one.market).localeCompare(marketName(other.market)));
  }

  async function album(id) {
    const found = await Page.ask(`albums/${id}`);
    const { release, tracks, listed } = found;
    const name = release.name || "(untitled)";
    const newest = App.index.weeks[0].week;
    const markets = spans(listed);
    get("single").replaceChildren(
      make("p", { class: "back" }, back()),
      make(
        "header",
        { class: "one" },
        Page.cover(release.images, release.image, name),
        make("div", {}, make("p", { class: "kicker" }, release.type), heading(name), make("p", { class: "by" }, ...credits(release)), make("p", { class: "meta" }, make("span", {}, `out ${released(release.released)}`), make("span", {}, `${tracks.length} ${tracks.length === 1 ? "track" : "tracks"}, ${length(release.ms)}`), make("span", {}, listed[0][0] === newest ? `in ${number(listed[0][1].length)} markets this week` : `not listed since the week of ${day(listed[0][0])}`)), make("p", {}, listen("album", id, name))),
      ),
      make(
        "div",
        { class: "two wide-first" },
        make("section", { class: "card" }, make("h2", { class: "as-h3" }, "Tracks"), Page.smallTable(tracks, [["", (track) => (tracks.some((other) => other.disc > 1) ? `${track.disc}.${track.number}` : `${track.number}`)], ["Title", (track) => make("span", { class: "wraps" }, make("bdi", {}, track.name || "(untitled)"), track.explicit ? make("abbr", { class: "explicit", title: "explicit lyrics" }, "E") : null)], ["Artists", (track) => make("span", { class: "wraps" }, ...credits(track))], ["Length", (track) => clock(track.ms || 0)]], `Tracks of ${name}`)),
        make("section", { class: "card" }, make("h2", { class: "as-h3" }, "Where, and since when"), make("p", { class: "answer" }, `Listed in ${markets.length} ${markets.length === 1 ? "market" : "markets"} in ${listed.length} ${listed.length === 1 ? "week" : "weeks"}.`), make("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-label": "Markets" }, Page.smallTable(markets, [["Market", (span) => marketName(span.market)], ["Since the week of", (span) => day(span.since)], ["", (span) => (span.last === newest ? "still there" : `last ${day(span.last)}`)]], "Markets that listed it"))),
      ),
      ...(await around(release, tracks)),
    );
    return { title: name, kind: "release" };
  }

  /** What else its first artist has in the table, before and after. */
  async function around(release, tracks) {
    const [id] = (release.artist_ids || (tracks[0] && tracks[0].artist_ids) || "").split(",");
    if (!id || release.artists === "Various artists" || Page.told.left_out.includes("artists")) return [];
    const artist = await Page.ask(`artists/${id}`);
    const others = artist.releases.filter((other) => other.id !== release.id).sort((one, other) => one.released.localeCompare(other.released));
    const [before, after] = [others.filter((other) => other.released < release.released), others.filter((other) => other.released >= release.released)];
    const part = (title, releases) => (releases.length ? [make("h3", {}, title), cards(releases, artist)] : []);
    return [make("section", { class: "card" }, make("h2", { class: "as-h3" }, "Also by ", make("bdi", {}, artist.name)), ...(others.length ? [...part("Before", before), ...part("After", after)] : [make("p", { class: "answer" }, "Nothing else in the weeks of the table.")]))];
  }

  const cards = (releases, artist) =>
    make("ul", { class: "releases", "data-view": "list" }, ...releases.map((one) => make("li", { class: "release", "data-id": one.id }, Page.cover(artist.images, one.image, one.name || ""), make("div", { class: "about" }, make("h3", { class: "name", dir: "auto", title: one.name }, inner({ album: one.id, artist: "" }, one.name || "(untitled)")), make("p", { class: "meta" }, make("span", {}, `${one.type} · ${released(one.released, shortDay)}`), make("span", {}, `${one.markets.length} ${one.markets.length === 1 ? "market" : "markets"}`), make("span", { class: "wide" }, one.first === one.last ? `in the week of ${shortDay(one.first)}` : `${shortDay(one.first)} to ${shortDay(one.last)}`)), listen("album", one.id, one.name || "(untitled)")))));

  async function artist(id) {
    const found = await Page.ask(`artists/${id}`);
    const reach = new Map(found.reach);
    // A week that lacks markets says too little: its point is left out, so that the line has a gap and no dent.
    const rows = [...App.index.weeks].reverse().map(({ week, missing }) => ({ week, markets: Object.keys(missing).length ? null : reach.get(week) || 0 }));
    const most = Math.max(...rows.map((row) => row.markets || 0));
    const gaps = rows.filter((row) => row.markets === null).length;
    const answer = `At most ${most} ${most === 1 ? "market" : "markets"} in a week.${gaps ? ` ${gaps} ${gaps === 1 ? "week lacks" : "weeks lack"} markets and ${gaps === 1 ? "is" : "are"} left out.` : ""}`;
    const chart = make("div", { class: "chart" });
    get("single").replaceChildren(
      make("p", { class: "back" }, back()),
      make("header", { class: "one plain" }, make("div", {}, make("p", { class: "kicker" }, "artist"), heading(found.name), make("p", { class: "meta" }, make("span", {}, `${found.releases.length} ${found.releases.length === 1 ? "release" : "releases"} in the weeks of the table`)), make("p", {}, listen("artist", id, found.name)))),
      ...(Page.told.left_out.includes("figures") ? [] : [make("figure", { class: "card" }, make("figcaption", {}, make("h2", { class: "as-h3" }, "In how many markets, week by week?"), make("p", { class: "answer" }, answer)), chart, make("details", {}, make("summary", {}, "As a table"), make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Markets by week" }, Page.smallTable(rows, [["Week", (row) => row.week], ["Markets", (row) => (row.markets === null ? "not known" : row.markets)]], "Markets by week"))))]),
      make("section", { class: "card" }, make("h2", { class: "as-h3" }, "Releases"), cards(found.releases, found)),
    );
    if (chart.isConnected) await Page.draw("artist_weeks", chart, rows, { label: `In how many markets, week by week? ${answer}` });
    return { title: found.name, kind: "artist" };
  }

  return { album, artist };
})();
