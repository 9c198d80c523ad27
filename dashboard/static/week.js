// What a week's document says: decoded, searched, sorted, compared. Pure; nothing here touches the page.
"use strict";

const Week = (() => {
  /** Text as a search sees it: without case and accents. */
  const folded = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

  function decode(found) {
    const place = Object.fromEntries(found.columns.map((name, number) => [name, number]));
    const releases = found.releases.map((row) => {
      const release = Object.fromEntries(found.columns.map((name) => [name, row[place[name]]]));
      const name = release.name || "(untitled)";
      return { ...release, name, folded: folded(`${name}\n${release.artists}`), isHere: release.markets.length === 1, isEverywhere: release.markets.length === found.markets.length };
    });
    return { ...found, releases, longest: longest(found.markets, releases) };
  }

  /** How long the longest list is. */
  function longest(markets, releases) {
    const counts = markets.map(() => 0);
    for (const release of releases) for (const market of release.markets) counts[market] += 1;
    return Math.max(0, ...counts);
  }

  /** A market as the week's number; null for all of them. */
  const numberOf = (week, market) => (market && week.markets.includes(market) ? week.markets.indexOf(market) : null);

  const listed = (week, market) => (market === null ? week.releases : week.releases.filter((release) => release.markets.includes(market)));
  const isNew = (release, market) => (market === null ? release.is_new : release.new_in.includes(market));

  /** Whether a release fits what is chosen, leaving out one choice: a chart shows all of what it lets choose. */
  function fits(release, state, market, except) {
    if (except !== "type" && state.type && release.type !== state.type) return false;
    if (except !== "weekday" && state.weekday && release.weekday !== state.weekday) return false;
    if (except !== "show") {
      if (state.show === "new" && !isNew(release, market)) return false;
      if (state.show === "here" && !release.isHere) return false;
      if (state.show === "everywhere" && !release.isEverywhere) return false;
    }
    // Every word of it, in any order: "bjork vespertine" finds the title by the artist.
    return folded(state.q).split(/\s+/).every((word) => release.folded.includes(word));
  }

  const ORDERS = {
    reach: (one, other, market) => other.markets.length - one.markets.length || isNew(other, market) - isNew(one, market),
    released: (one, other) => (one.released < other.released ? 1 : one.released > other.released ? -1 : 0),
    name: () => 0,
  };
  const collator = new Intl.Collator("en", { sensitivity: "base", numeric: true });
  /** Sorted by reach (most first, and of these what is new), release day (newest first) or name. */
  const sorted = (releases, order, market = null) => [...releases].sort((one, other) => ORDERS[order](one, other, market) || collator.compare(one.name, other.name) || (one.id < other.id ? -1 : 1));

  /** What two weeks have alone and in common, in markets that both hold. */
  function compare(week, other, market) {
    const both = market === null ? week.markets.filter((code) => other.markets.includes(code)) : [week.markets[market]];
    const of = (one) => {
      const numbers = new Set(both.map((code) => one.markets.indexOf(code)));
      return one.releases.filter((release) => release.markets.some((place) => numbers.has(place)));
    };
    const [here, there] = [of(week), of(other)];
    const [inHere, inThere] = [new Set(here.map((release) => release.id)), new Set(there.map((release) => release.id))];
    return {
      markets: both,
      came: here.filter((release) => !inThere.has(release.id)),
      left: there.filter((release) => !inHere.has(release.id)),
      stayed: here.filter((release) => inThere.has(release.id)),
    };
  }

  /** Artists with their ids where each name has one; else the names as they stand, without. */
  function artists(release) {
    const [names, ids] = [(release.artists || "").split(", "), (release.artist_ids || "").split(",").filter(Boolean)];
    return names.length === ids.length ? names.map((name, at) => ({ name, id: ids[at] })) : [{ name: release.artists || "", id: null }];
  }

  return { decode, folded, numberOf, listed, isNew, fits, sorted, compare, artists, ORDERS: Object.keys(ORDERS) };
})();
