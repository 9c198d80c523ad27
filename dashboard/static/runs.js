// The run view: all runs, one of them in full, asked again every other second while it goes on.
"use strict";

(() => {
  const { get, enter, make, number, day, moment, marketName, told } = Page;
  const LOOK = 2000; // milliseconds between two looks at a run that goes on
  const GLANCE = 5_000; // at one that is finished: a late market may make a new revision
  const STATES = { landed: "landed", requested: "on its way", throttled: "waits for quota", missing: "missing", dead_lettered: "given up" };
  const RUN_STATES = { fetching: "fetching", loading: "loading", loaded: "loaded", partial: "loaded in part", failed: "failed", discarded: "discarded" };
  const STAGES = { fetch: "all markets fetched", decide: "batch closed", cluster: "cluster started", spark: "Spark job", receipt: "rows counted" };

  let runs = [];
  let run = null;
  let only = ""; // a state that the grid is narrowed to
  let turn = 0;
  let seen = 0; // when the run was looked at last, on this page's own clock
  let timer = 0;

  const UNDER_WAY = { fetch: "markets are fetched", decide: "it is decided", cluster: "a cluster is made", spark: "the Spark job runs", receipt: "the rows are counted" };

  const sinceSeen = () => (performance.now() - seen) / 1000;
  const wanted = () => decodeURIComponent(location.pathname.split("/")[2] || "");
  const span = (seconds) =>
    seconds < 90 ? `${seconds.toFixed(seconds < 10 ? 1 : 0)} s` : seconds < 5400 ? `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s` : `${(seconds / 3600).toFixed(1)} h`;
  const clock = (text) => new Date(text).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const zone = () => new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" }).formatToParts(new Date()).find((part) => part.type === "timeZoneName").value;
  const kilobytes = (bytes) => `${number(Math.max(1, Math.round(bytes / 1024)))} kB`;

  /** A list of terms; what is not known is left out. */
  function facts(entries) {
    const known = entries.filter(([, value]) => value !== null && value !== undefined && value !== "");
    return make("dl", { class: "facts" }, ...known.flatMap(([term, value]) => [make("dt", {}, term), make("dd", {}, value)]));
  }

  const none = (text) => make("p", { class: "answer" }, text);
  const stateOf = (state) => make("span", { class: `state ${state}` }, RUN_STATES[state] || state);

  /** Change what is shown only where it differs, so that a reader's place and a screen reader's are kept. */
  function fill(id, ...children) {
    const fresh = make("div", {}, ...children);
    if (fresh.innerHTML === get(id).dataset.shown) return;
    get(id).dataset.shown = fresh.innerHTML;
    const focused = document.activeElement && document.activeElement.id;
    get(id).replaceChildren(...fresh.childNodes);
    if (focused && get(focused)) get(focused).focus({ preventScroll: true });
  }

  function drawList() {
    fill(
      "runs",
      ...runs.map((entry) =>
        make(
          "li",
          {},
          make(
            "a",
            { href: `/runs/${entry.run}`, id: `run-${entry.run}`, "aria-current": run && entry.run === run.run_id ? "true" : null, "data-run": entry.run },
            make("span", {}, day(entry.run)),
            stateOf(entry.state),
            make("small", {}, entry.rows === null || entry.rows === undefined ? (entry.revision ? `revision ${entry.revision}` : "no decision yet") : `${number(entry.rows)} rows · ${entry.landed} markets · revision ${entry.revision}`),
          ),
        ),
      ),
    );
  }

  // --- every run, market by market ---------------------------------------------------------------------------

  const MARKS = { landed: "✓", missing: "✕", throttled: "…", dead_lettered: "!", unknown: "" };
  const LEGEND = { landed: "loaded", missing: "missing, or not loaded", throttled: "waits for quota", dead_lettered: "given up", unknown: "not asked for, or on its way" };

  /** A market's state in a run, with its reason; null where the run does not ask for it, or has not heard of it yet. */
  function stateIn(entry, market) {
    if (entry.landed_markets && entry.landed_markets.includes(market)) return [entry.state === "failed" ? "missing" : "landed", entry.state === "failed" ? "landed, not loaded" : STATES.landed];
    if (entry.missing_markets && market in entry.missing_markets) return ["missing", entry.missing_markets[market]];
    if ((entry.given_up_markets || []).includes(market)) return ["dead_lettered", STATES.dead_lettered];
    if ((entry.waiting_markets || []).includes(market)) return ["throttled", STATES.throttled];
    return null;
  }

  function drawMatrix() {
    const markets = [...new Set(runs.flatMap((entry) => [...(entry.landed_markets || []), ...Object.keys(entry.missing_markets || {}), ...(entry.waiting_markets || []), ...(entry.given_up_markets || [])]))].sort();
    get("matrix-card").hidden = !markets.length;
    const imperfect = runs.filter((entry) => entry.state === "partial" || entry.state === "failed").length;
    get("matrix-answer").textContent = `${runs.length} ${runs.length === 1 ? "run" : "runs"}, ${imperfect || "none"} of them in part or failed.`;
    fill("matrix-legend", ...Object.entries(LEGEND).map(([state, meaning]) => make("li", {}, make("span", { class: `cell ${state}`, "aria-hidden": "true" }, MARKS[state]), meaning)));
    const cell = (entry, market) => {
      const found = stateIn(entry, market);
      const title = found && `${marketName(market)}, ${day(entry.run)}: ${found[1]}`;
      return make("td", { class: found && found[0], title }, found ? make("span", { "aria-hidden": "true" }, MARKS[found[0]]) : null, found ? make("span", { class: "sr" }, found[1]) : null);
    };
    fill(
      "matrix",
      make("caption", { class: "sr" }, "Runs by markets, with the state of each"),
      make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Run"), ...markets.map((market) => make("th", { scope: "col" }, make("abbr", { title: marketName(market) }, market))))),
      make("tbody", {}, ...runs.map((entry) => make("tr", { class: run && entry.run === run.run_id ? "chosen" : null }, make("th", { scope: "row" }, make("a", { href: `/runs/${entry.run}`, "data-run": entry.run, id: `matrix-${entry.run}` }, entry.run), stateOf(entry.state)), ...markets.map((market) => cell(entry, market))))),
    );
  }

  /** Why the newest that are not well are so: one look at the grid tells what to type. */
  function drawUnwell() {
    fill(
      "unwell",
      ...runs.filter((entry) => entry.cause).map((entry) =>
        make("li", {}, make("a", { href: `/runs/${entry.run}`, "data-run": entry.run }, entry.run), `: ${entry.cause.what}`, make("p", { class: "command" }, make("code", {}, entry.cause.command))),
      ),
    );
  }

  // --- where to look, and what to do --------------------------------------------------------------------------

  const console_ = (path, query = "") => `${told.console}/${path}?project=${encodeURIComponent(told.project)}${query}`;
  const away = (address, text) => make("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, text);
  const logs = (...terms) => console_(`logs/query;query=${encodeURIComponent(terms.join("\n"))};timeRange=P30D`);

  /** The run's clusters and jobs as the console shows them; their names where there is no console. */
  const inConsole = (kind, name) => (told.console ? away(console_(`dataproc/${kind}/${encodeURIComponent(name)}`, `&region=${encodeURIComponent(told.region)}`), name) : name);

  function drawNext() {
    const cause = run.cause || { details: [] };
    const [why, command] = run.cause ? [cause.what, cause.command] : next();
    get("h-next").textContent = run.cause ? "Why, and what to type" : "What next?";
    fill(
      "next",
      make("p", { class: "answer" }, why),
      cause.details.length ? make("ul", {}, ...cause.details.map((detail) => make("li", {}, detail))) : "",
      make("p", { class: "command" }, make("code", { id: "command" }, command), make("button", { type: "button", class: "link", id: "copy" }, "Copy")),
      told.console ? make("p", {}, away(logs(`jsonPayload.run_id="${run.run_id}"`), "Its log lines"), " · ", away(logs(`jsonPayload.run_id="${run.run_id}"`, "severity>=WARNING"), "its warnings and errors")) : none("Its log lines are in the stack's folder, below logs/."),
    );
  }

  /** What an operator would do where nothing is wrong. */
  function next() {
    if (!run.is_finished) return ["Nothing is to be done; this follows it on a command line.", `releases run watch ${run.run_id}`];
    return ["Nothing is to be done; this shows what it became.", `releases receipt ${run.run_id}`];
  }

  function drawFigures() {
    const newest = run.revisions[run.revisions.length - 1];
    const rows = run.rows;
    const took = newest && newest.receipt && newest.receipt.seconds.total;
    const figures = [
      ["state", RUN_STATES[run.state], run.is_finished && newest && newest.receipt ? `finished ${moment(newest.receipt.finished_at)}` : `closes at the latest ${moment(run.deadline)}`],
      ["landed", `${run.counts.landed} of ${run.markets.length}`, "markets landed"],
      ["rows", rows === null || rows === undefined ? "–" : number(rows), "rows in the table"],
      ["took", took ? span(took) : span((new Date(run.seen_at) - new Date(run.requested_at)) / 1000 + sinceSeen()), took ? "from tick to receipt" : "since the tick"],
    ];
    fill("figures", ...figures.map(([id, value, name]) => make("div", { class: "kpi" }, make("b", { "data-value": id, class: id === "state" ? `plain ${run.state}` : null }, value), make("span", {}, name))));
  }

  function drawMarkets() {
    const sentence = Object.entries(STATES).filter(([state]) => run.counts[state]).map(([state, name]) => `${run.counts[state]} ${name}`).join(", ");
    get("markets-answer").textContent = `${sentence}. Times are ${zone()}.`;
    fill(
      "legend",
      ...Object.entries(STATES)
        .filter(([state]) => run.counts[state])
        .map(([state, name]) => make("li", {}, make("button", { type: "button", id: `only-${state}`, class: `chip ${state}`, "aria-pressed": String(only === state), "data-only": state }, `${name} ${run.counts[state]}`))),
    );
    const shown = run.markets.filter((market) => !only || market.state === only);
    fill(
      "markets",
      ...shown.map((market) => {
        const more = market.state === "landed"
          ? [clock(market.landed_at), market.calls === undefined ? kilobytes(market.size || 0) : `${market.calls} ${market.calls === 1 ? "call" : "calls"}`]
          : market.state === "throttled"
            ? [`until ${clock(market.until)}`, market.reason]
            : [STATES[market.state], market.reason];
        const loaded = market.state === "landed" && run.revisions.length ? (market.is_loaded ? ", loaded" : ", not loaded") : "";
        return make(
          "li",
          { class: market.state, title: `${marketName(market.market)}: ${STATES[market.state]}${loaded}${market.reason ? `: ${market.reason}` : ""}` },
          make("b", {}, market.market, make("span", { class: "sr" }, ` ${marketName(market.market)}, ${STATES[market.state]}${loaded}`)),
          ...more.filter(Boolean).map((line) => make("small", {}, line)),
        );
      }),
    );
  }

  async function drawWaterfall() {
    const rows = run.waterfall.map((row) => ({ ...row, stage: STAGES[row.stage], label: row.open ? `${span(row.end - row.begin)} so far` : span(row.end - row.begin) }));
    const closed = rows.filter((row) => !row.open);
    const limit = Math.max(...rows.map((row) => row.end)) * 1.15; // room for the last label
    const longest = closed.reduce((best, row) => (row.end - row.begin > best.end - best.begin ? row : best), closed[0]);
    const holder = get("waterfall");
    get("waterfall-answer").textContent = longest ? `The longest: ${longest.stage.toLowerCase()}, ${longest.label}.` : "The first stage is under way.";
    holder.querySelector(".scroll").replaceChildren(Page.smallTable(rows, [["Stage", (row) => row.stage], ["Began after", (row) => span(row.begin)], ["Took", (row) => row.label]], "What took how long?"));
    await Page.draw("waterfall", holder.querySelector(".chart"), rows.map((row) => ({ ...row, limit })), { label: `What took how long? ${rows.map((row) => `${row.stage} ${row.label}`).join(", ")}` });
  }

  function drawDecision() {
    if (!run.revisions.length) {
      fill("decision", none(`Nothing yet: it waits for ${run.markets.length - run.counts.landed} of ${run.markets.length} markets, at the latest until ${moment(run.deadline)}. At least ${Math.round(run.policy.minimum_share * 100)} % must have landed then.`));
      return;
    }
    const reasons = { complete: "every market was settled", deadline: "the deadline had passed", operator: "an operator closed it" };
    fill(
      "decision",
      ...run.revisions.slice().reverse().map(({ decision }) =>
        facts([
          ["Revision", `${decision.revision}, ${moment(decision.decided_at)}`],
          ["Verdict", decision.verdict === "load" ? `load ${decision.parts.length} markets` : "fail: too little landed"],
          ["Because", reasons[decision.close_reason]],
          ["Missing", decision.missing.map((missing) => `${missing.market} (${missing.reason})`).join(", ")],
          ["Note", decision.note],
        ]),
      ),
    );
  }

  function drawCluster() {
    if (!run.clusters.length && !run.job_ids.length) return fill("cluster", none(run.revisions.length ? "No cluster was needed." : "Not yet: a cluster is made when the batch is closed."));
    const receipt = run.revisions.map((entry) => entry.receipt).filter(Boolean).pop();
    fill(
      "cluster",
      facts([
        ...run.clusters.map((claim) => [
          `Cluster ${claim.attempt}`,
          make("span", {}, inConsole("clusters", claim.cluster), `, claimed ${moment(claim.claimed_at)}${claim.refused ? `, refused${claim.machines ? ` (${claim.machines})` : ""}: ${claim.refused}` : ""}`),
        ]),
        ["State", receipt ? "its job is over, so it goes" : "under way"],
        ["Size", receipt && receipt.machine_type ? `${receipt.machine_type}${receipt.workers ? ` and ${receipt.workers} workers` : ", one machine"}` : null],
        ["Cost", receipt && typeof receipt.cost_estimate === "number" ? `about $${receipt.cost_estimate.toFixed(3)} by list prices` : null],
        ...run.job_ids.map((id, at) => [`Job ${at + 1}`, inConsole("jobs", id)]),
        ["Job state", receipt ? receipt.job_state : "under way"],
        ["Driver output", receipt && receipt.driver_output_uri],
      ]),
    );
  }

  function drawReceipt() {
    const newest = run.revisions[run.revisions.length - 1];
    const receipt = newest && newest.receipt;
    if (!receipt) return fill("receipt", none("No receipt yet; it is written when the rows are counted in the table."));
    const load = receipt.load;
    fill(
      "receipt",
      facts([
        ["Outcome", stateOf(receipt.outcome)],
        ["Error", receipt.error],
        ["In the table", receipt.warehouse ? `${number(receipt.warehouse.rows)} rows, ${number(receipt.warehouse.albums)} albums, ${receipt.warehouse.markets} markets` : null],
        ["The job counted", load ? `${number(load.albums)} albums, ${number(load.tracks)} tracks in ${load.files} files` : null],
        ["Left out", load && Object.entries(load.skipped || {}).filter(([, count]) => count).map(([why, count]) => `${number(count)} ${why.replaceAll("_", " ")}`).join(", ")],
        ["Source", Object.entries(receipt.source || {}).map(([name, value]) => `${name.replaceAll("_", " ")}: ${Array.isArray(value) ? value.join(", ") : typeof value === "object" ? JSON.stringify(value) : value}`).join("; ")],
        ["Trace", receipt.trace_id],
        ["Written", moment(receipt.finished_at)],
      ]),
    );
  }

  function drawDead() {
    const bad = run.revisions.filter((entry) => entry.load && entry.load.quarantined);
    if (!run.dead_letters.length && !bad.length && !run.orders.length && !run.set_aside.length) return fill("dead", none("Nothing: no market was given up, no record is in quarantine."));
    fill(
      "dead",
      facts([
        ...run.dead_letters.map((record) => [marketName(record.market), `given up ${moment(record.recorded_at)}${record.delivery_count ? ` after ${record.delivery_count} deliveries` : ""}: ${record.reason}`]),
        ...bad.map((entry) => [`Revision ${entry.decision.revision}`, `${number(entry.load.quarantined)} records in quarantine: ${entry.quarantine_uri || ""}`]),
        ...run.set_aside.map((found) => ["Set aside", `${found.name}: ${found.reason}`]),
        ...run.orders.map((order) => [`Order ${order.number}`, `${order.kind}, ${moment(order.ordered_at)}: ${order.reason}`]),
      ]),
    );
  }

  async function draw() {
    enter("ready");
    get("run").hidden = get("next-card").hidden = false;
    get("title").textContent = `Run of ${day(run.run_id)}`;
    document.title = `Run ${run.run_id} · New Releases`;
    get("kicker").textContent = `asked for ${moment(run.requested_at)}: ${run.reason}`;
    get("lead").textContent = lead();
    drawList();
    drawMatrix();
    drawUnwell();
    drawNext();
    drawFigures();
    drawMarkets();
    drawDecision();
    drawCluster();
    drawReceipt();
    drawDead();
    await drawWaterfall();
    get("main").dataset.drawn = run.seen_at;
  }

  function lead() {
    const away = run.markets.length - run.counts.landed;
    switch (run.state) {
      case "fetching":
        return `${run.counts.landed} of ${run.markets.length} markets have landed${run.counts.throttled ? `; ${run.counts.throttled} ${run.counts.throttled === 1 ? "waits" : "wait"} for Spotify's quota` : ""}.${run.outlook.map((told) => ` ${told[0].toUpperCase()}${told.slice(1)}.`).join("")}`;
      case "loading":
        return `The batch is closed; ${underWay()}.`;
      case "loaded":
        return "Every market is in the table.";
      case "partial":
        return `The run is in the table, but for ${away} ${away === 1 ? "market" : "markets"}.`;
      case "discarded":
        return "An operator discarded it: it is left alone.";
      default:
        return run.rows ? `The newest revision was not loaded; the table holds ${number(run.rows)} rows of the run.` : "Nothing was loaded.";
    }
  }

  function underWay() {
    const stage = run.waterfall.find((row) => row.open);
    return stage ? `${UNDER_WAY[stage.stage]}, for ${span(stage.end - stage.begin + sinceSeen())}` : "it is being loaded";
  }

  /** Between two looks what is under way goes on. */
  function tick() {
    if (!run || run.is_finished || document.hidden || get("run").hidden) return;
    get("lead").textContent = lead();
    drawFigures();
  }

  async function look() {
    const mine = ++turn;
    clearTimeout(timer);
    try {
      runs = (await Page.ask("runs")).runs;
      if (mine !== turn) return;
      if (!runs.length) enter("empty");
      else {
        const found = await Page.ask(`runs/${wanted() || runs[0].run}`);
        if (mine !== turn) return;
        run = found;
        seen = performance.now();
        await draw();
      }
      get("live").textContent = run && !run.is_finished ? "live" : "";
      get("live").classList.toggle("on", Boolean(run && !run.is_finished));
    } catch (error) {
      if (mine !== turn) return;
      // What was seen stays to be seen while the next look is on its way.
      get("error-text").textContent = `${error.message}. It is tried again by itself.`;
      if (run) get("error").hidden = false;
      else enter("error");
      if (!run && runs.length) {
        // One run that cannot be shown hides none of the others.
        drawList();
        drawMatrix();
        get("content").hidden = false;
        get("run").hidden = get("next-card").hidden = true;
      }
    }
    timer = setTimeout(() => (document.hidden ? sleep() : look()), run && run.is_finished ? GLANCE : LOOK);
  }

  /** Nobody looks: ask again when somebody does. */
  function sleep() {
    document.addEventListener("visibilitychange", look, { once: true });
  }

  get("content").addEventListener("click", (event) => {
    const entry = event.target.closest("a[data-run]");
    if (!entry || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    only = "";
    history.pushState(null, "", entry.getAttribute("href"));
    look();
  });
  get("legend").addEventListener("click", (event) => {
    const button = event.target.closest("button[data-only]");
    if (!button) return;
    only = only === button.dataset.only ? "" : button.dataset.only;
    drawMarkets();
  });
  get("next").addEventListener("click", (event) => {
    if (event.target.id !== "copy") return;
    navigator.clipboard.writeText(get("command").textContent).then(() => { event.target.textContent = "Copied"; }, () => getSelection().selectAllChildren(get("command")));
  });
  get("retry").addEventListener("click", look);
  addEventListener("popstate", look);
  setInterval(tick, 1000);
  let resized = 0;
  addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(() => run && drawWaterfall(), 150); });
  Page.onTheme(() => run && drawWaterfall());
  enter("loading");
  look();
})();
