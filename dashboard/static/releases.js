// The releases of a week as cards, in a grid or a list; and what two weeks have alone.
"use strict";

const Releases = (() => {
  const { get, make, number, day, shortDay, marketName } = Page;
  const PLURAL = { album: "albums", single: "singles", compilation: "compilations" };
  const FIRST = matchMedia("(max-width: 640px)").matches ? 96 : 216; // whole rows of 2, 3, 4, 6 and 8
  const VISIBLE = 36; // more than a large screen shows; the others come with the next frame
  const SIDE = 8; // of each side of a comparison

  /** An address of this page; `go` shows it without loading anew. */
  function inner(change, ...children) {
    return make("a", { href: App.address(change), "data-inner": true, onclick: (event) => App.follow(event, change) }, ...children);
  }

  /** A way to one release or artist: its page here, else Spotify's own; what is invented has none there. */
  function way(kind, id, ...children) {
    if (App.isServed && !(kind === "artist" && Page.told.left_out.includes("artists"))) return inner({ album: "", artist: "", [kind]: id }, ...children);
    if (Page.told.is_invented) return make("span", {}, ...children);
    return make("a", { href: Page.spotify(kind, id), target: "_blank", rel: "noopener noreferrer" }, ...children);
  }

  /** The artists, each a way to their page where there is one. */
  const credits = (one) => Week.artists(one).flatMap(({ name, id }, at) => [at ? ", " : null, make("bdi", {}, id ? way("artist", id, name) : name)]);

  /** When it came out, as precisely as is known; Spotify writes 0000 for an unknown year. */
  const released = (text, as = day) => (/^\d{4}-\d{2}-\d{2}$/.test(text || "") ? as(text) : text && text !== "0000" ? text : "day unknown");
  /** The same in short: without the year where it is that of the week. */
  const briefly = (text, week) => released(text, (whole) => shortDay(whole).replace(` ${week.slice(0, 4)}`, ""));

  function where(release, week) {
    if (release.isEverywhere && week.markets.length > 1) return `all ${week.markets.length} markets`;
    if (release.isHere) return `only ${marketName(week.markets[release.markets[0]])}`;
    return `${release.markets.length} markets`;
  }

  const length = (ms) => {
    const minutes = Math.round(ms / 60_000);
    return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h${minutes % 60 ? ` ${minutes % 60} min` : ""}`;
  };

  function card(release, week, market) {
    const place = where(release, week);
    return make(
      "li",
      { class: "release", "data-id": release.id },
      tabless(way("album", release.id, Page.cover(week.images, release.image, release.name))),
      make(
        "div",
        { class: "about" },
        make("h3", { class: "name", dir: "auto", title: release.name }, way("album", release.id, release.name)),
        make("p", { class: "by", title: release.artists }, ...credits(release)),
        make("p", { class: "meta" }, make("span", {}, Week.isNew(release, market) ? make("span", { class: "badge" }, "new") : null, `${release.type} · ${briefly(release.released, week.week)}`), make("span", { class: release.isHere ? "only" : null, title: place }, place), make("span", { class: "wide" }, `${release.tracks} ${release.tracks === 1 ? "track" : "tracks"}, ${length(release.ms)}`)),
        make("a", { class: "listen", href: Page.spotify("album", release.id), target: "_blank", rel: "noopener noreferrer" }, "Listen on Spotify", make("span", { class: "sr" }, `: ${release.name}`)),
      ),
    );
  }

  /** The cover leads where the title does: one stop for the keyboard is enough. */
  function tabless(link) {
    link.setAttribute("tabindex", "-1");
    link.setAttribute("aria-hidden", "true");
    return link;
  }

  let shown = FIRST;
  const reset = () => { shown = FIRST; };

  function draw() {
    const { week, state } = App;
    const market = App.market();
    const releases = Week.sorted(App.chosen(), state.sort, market);
    const cards = (from, to) => releases.slice(from, to).map((release) => card(release, week, market));
    const drawing = {};
    latest = drawing;
    get("rows").dataset.view = state.view;
    get("rows").replaceChildren(...cards(0, Math.min(shown, VISIBLE)));
    rest = afterFrame().then(() => { if (latest === drawing) get("rows").append(...cards(VISIBLE, shown)); }).then(afterFrame);
    get("count").textContent = `${number(releases.length)} of ${number(Week.listed(week, market).length)} releases`;
    get("none").hidden = releases.length > 0;
    get("more").hidden = releases.length <= shown;
    get("more").textContent = `Show ${number(Math.min(FIRST, releases.length - shown))} more`;
  }

  const afterFrame = () => new Promise((painted) => requestAnimationFrame(() => setTimeout(painted)));
  let latest = null;
  let rest = null;
  /** Until every card that is to be shown stands there, painted. */
  const drawn = () => rest;

  async function more() {
    shown += FIRST;
    draw();
    await rest;
    const first = get("rows").children[shown - FIRST];
    if (first) first.querySelector(".name a, .listen").focus({ preventScroll: true });
  }

  // --- two weeks side by side --------------------------------------------------------------------------------

  /** The week to compare with: the chosen one, else the market's own week before. */
  const other = () => App.state.with || (App.market() === null ? App.week.before : App.week.compared[App.state.market]) || "";

  function drawChoice() {
    const choices = App.index.weeks.filter((entry) => entry.week !== App.week.week);
    get("compare").hidden = !choices.length || Page.told.left_out.includes("comparison");
    get("with").replaceChildren(...choices.map((entry) => make("option", { value: entry.week }, day(entry.week))));
    get("with").value = other() || (choices[0] && choices[0].week) || "";
  }

  async function drawComparison() {
    drawChoice();
    if (get("compare").hidden) return;
    const [week, market, chosen] = [App.week, App.market(), get("with").value];
    const found = await App.weekOf(chosen);
    if (App.week !== week || App.market() !== market || get("with").value !== chosen) return;
    if (market !== null && !found.markets.includes(App.state.market)) return side([], [], found, `${marketName(App.state.market)} has no list in the week of ${day(chosen)}, so there is nothing to compare.`);
    const { came, left, stayed, markets } = Week.compare(week, found, market);
    const without = market === null && markets.length < Math.max(week.markets.length, found.markets.length) ? ` Only the ${markets.length} markets that both weeks hold are compared.` : "";
    side(left, came, found, `${number(stayed.length)} releases are in both weeks.${without}`);
  }

  function side(left, came, found, answer) {
    get("compare-answer").textContent = answer;
    half("left", `Left: only in the week of ${day(found.week)}`, left, found);
    half("came", `Came: only in the week of ${day(App.week.week)}`, came, App.week);
  }

  function half(id, title, releases, week) {
    const ordered = Week.sorted(releases, "reach");
    const list = make("ul", { class: "releases", "data-view": "list" }, ...ordered.slice(0, SIDE).map((release) => card({ ...release, new_in: [], is_new: false }, week, null)));
    get(id).replaceChildren(
      make("h3", {}, title),
      make("p", { class: "answer" }, releases.length > SIDE ? `${number(releases.length)} releases; the ${SIDE} in most markets:` : `${number(releases.length)} ${releases.length === 1 ? "release" : "releases"}.`),
      list,
    );
    if (releases.length && !Page.told.left_out.includes("data")) get(id).append(make("button", { type: "button", class: "link", onclick: () => Page.save(`new-releases-${id}-${App.week.week}-${week.week}.csv`, ordered, columns(week)) }, "All of them as CSV"));
  }

  const columns = (week) => [["id", (one) => one.id], ["name", (one) => one.name], ["artists", (one) => one.artists], ["type", (one) => one.type], ["released", (one) => one.released], ["tracks", (one) => one.tracks], ["markets", (one) => one.markets.map((place) => week.markets[place]).join(" ")]];

  return { draw, drawn, more, reset, drawComparison, inner, credits, released, length, columns, PLURAL };
})();
