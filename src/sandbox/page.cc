#include "sandbox/page.h"

namespace postlane::sandbox {

std::string_view page_headers() {
    return "Content-Security-Policy: default-src 'none'; script-src 'unsafe-inline'; style-src "
           "'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
           "frame-ancestors 'none'\r\n"
           "X-Content-Type-Options: nosniff\r\n"
           "Cache-Control: no-store\r\n";
}

// All data enters the document through textContent and attributes set by name, never as markup.
namespace {

constexpr std::string_view kPage = R"html(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>postlane sandbox</title>
<style>
:root { --bg:#f6f7f9; --card:#fff; --ink:#1b2330; --soft:#667085; --line:#e4e7ec; --blue:#2f6fed;
  --green:#12805c; --red:#c0362c; --amber:#a15c07; }
@media (prefers-color-scheme: dark) {
  :root { --bg:#0f141b; --card:#171e27; --ink:#e6eaf0; --soft:#93a0b2; --line:#29323e;
    --blue:#6c9dff; --green:#4cc38a; --red:#ff7b6e; --amber:#f2b457; } }
* { box-sizing:border-box }
body { margin:0; background:var(--bg); color:var(--ink); font:14px/1.45 system-ui,sans-serif }
main { max-width:1200px; margin:0 auto; padding:20px }
header { display:flex; flex-wrap:wrap; align-items:baseline; gap:4px 12px; margin-bottom:16px }
h1 { font-size:20px; margin:0 } h2 { font-size:14px; margin:0 0 10px }
.soft { color:var(--soft) } .num { text-align:right; font-variant-numeric:tabular-nums }
.cards { display:grid; gap:12px; grid-template-columns:repeat(auto-fit,minmax(125px,1fr)) }
.card,.panel { background:var(--card); border:1px solid var(--line); border-radius:10px }
.card { padding:12px 14px } .card b { display:block; font-size:22px; font-weight:600 }
.panel { padding:14px; margin-top:12px; overflow-x:auto }
.two { display:grid; gap:0 12px; grid-template-columns:repeat(auto-fit,minmax(320px,1fr)) }
table { border-collapse:collapse; width:100% }
th,td { text-align:left; padding:5px 10px 5px 0; border-bottom:1px solid var(--line);
  white-space:nowrap; max-width:260px; overflow:hidden; text-overflow:ellipsis }
th { color:var(--soft); font-weight:500; font-size:12px } tr:last-child td { border-bottom:0 }
.pill { display:inline-block; padding:0 8px; border-radius:9px; border:1px solid currentColor;
  font-size:12px }
.good { color:var(--green) } .bad { color:var(--red) } .warn { color:var(--amber) }
#faults { columns:2; column-gap:24px }
#faults div { display:flex; justify-content:space-between; gap:8px; break-inside:avoid;
  padding:3px 0; border-bottom:1px solid var(--line) }
svg { width:100%; height:64px; display:block } .all { fill:var(--line) } .done { fill:var(--blue) }
label { color:var(--soft) } code { font-family:ui-monospace,monospace; font-size:12px }
#state { margin-left:auto }
</style>
</head>
<body>
<main>
<header><h1>postlane sandbox</h1><span class="soft">a local email service provider: nothing leaves
this machine</span><span id="state" class="soft" role="status">loading …</span></header>
<section class="cards" id="cards" aria-label="Totals"></section>
<section class="panel"><h2>Requests per second, last minute</h2>
<svg id="chart" viewBox="0 0 600 64" preserveAspectRatio="none" role="img"
 aria-label="Requests and executions per second"></svg>
<div class="soft" id="peak"></div></section>
<div class="two">
<section class="panel"><h2>Answers and faults that struck</h2><table id="answers"></table></section>
<section class="panel"><h2>Faults in force</h2><div id="faults"></div>
<p class="soft">Change them while it runs:<br>
<code>curl -d '{"latency_ms":50,"throttle":0.1}' <span id="origin"></span>/_sandbox/faults</code>
</p></section>
</div>
<section class="panel"><h2>Latest requests</h2>
<label><input type="checkbox" id="all" checked> also those that were not executed</label>
<table id="latest"></table></section>
</main>
<script>
"use strict";
const at = id => document.getElementById(id);
const make = (tag, text, cls) => {
  const node = document.createElement(tag);
  if (text !== undefined && text !== null) node.textContent = text;
  if (cls) node.className = cls;
  return node;
};
const row = cells => {
  const tr = make("tr");
  for (const cell of cells) tr.append(cell instanceof Node ? cell : make("td", cell));
  return tr;
};
const number = n => Number(n).toLocaleString("en");
const millis = us => us >= 10000 ? (us / 1000).toFixed(0) + " ms" : (us / 1000).toFixed(2) + " ms";
function cards(stats) {
  const last = stats.per_second[stats.per_second.length - 1];
  const values = [["executed", number(stats.executed)], ["requests", number(stats.requests)],
    ["replayed", number(stats.replayed)], ["per second", number(last.requests)],
    ["connections", number(stats.connections.open)],
    ["answered in, p50", millis(stats.answer_us.p50)],
    ["answered in, p99", millis(stats.answer_us.p99)]];
  at("cards").replaceChildren(...values.map(([name, value]) => {
    const card = make("div", undefined, "card");
    card.append(make("span", name, "soft"), make("b", value));
    return card;
  }));
}
function chart(stats) {
  const peak = Math.max(1, ...stats.per_second.map(s => s.requests));
  const bars = [];
  stats.per_second.forEach((second, i) => {
    for (const [value, cls] of [[second.requests, "all"], [second.executed, "done"]]) {
      const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      const height = 62 * value / peak;
      for (const [k, v] of Object.entries({x: i * 10 + 1, y: 64 - height, width: 8, height}))
        bar.setAttribute(k, v);
      bar.setAttribute("class", cls);
      bars.push(bar);
    }
  });
  at("chart").replaceChildren(...bars);
  at("peak").textContent = "peak " + number(peak) + "/s; coloured: executed";
}
const tone = status => status >= 200 && status < 300 ? "good" : status === 0 || status >= 500 ?
  "bad" : "warn";
function pill(text, cls) {
  const td = make("td");
  td.append(make("span", text, "pill " + cls));
  return td;
}
function answers(stats) {
  const line = (text, cls, n) => row([pill(text, cls), make("td", number(n), "num")]);
  const rows = Object.entries(stats.by_status).map(([status, n]) =>
    line(status === "0" ? "no answer" : status, tone(Number(status)), n));
  for (const [fault, n] of Object.entries(stats.by_fault))
    if (fault !== "none" && n > 0) rows.push(line(fault, "bad", n));
  at("answers").replaceChildren(...(rows.length ? rows : [row([make("td", "none yet", "soft")])]));
}
function faults(now) {
  const quiet = new Set(["seed", "idempotency_lifetime_ms", "retry_after_s", "error_5xx_status",
    "outage_mode"]);
  at("faults").replaceChildren(...Object.entries(now).map(([name, value]) => {
    const on = !quiet.has(name) && name !== "http_idempotency" && value !== 0 && value !== false;
    const line = make("div", undefined, on ? "bad" : "");
    line.append(make("span", name), make("span", String(value)));
    return line;
  }));
}
function latest(list) {
  const head = row(["n", "time", "answer", "fault", "provider", "to", "recipient", "message",
    "step", "tag", "key"].map(name => make("th", name)));
  at("latest").replaceChildren(head, ...list.executions.reverse().map(e => row([
    e.n, new Date(e.t_rx_us / 1000).toISOString().slice(11, 23),
    pill((e.status || "none") + (e.executed ? " executed" : e.replayed ? " replayed" : ""),
      tone(e.status)),
    e.fault === "none" ? "" : e.fault, e.provider, e.to, e.recipient_id, e.message_id,
    e.sequence ? e.sequence.id + " " + e.sequence.step : "", e.tag, e.idempotency_key])));
}
async function load(path) {
  const answer = await fetch("/_sandbox/" + path, {cache: "no-store"});
  if (!answer.ok) throw new Error(answer.status);
  return answer.json();
}
async function refresh() {
  try {
    const [stats, now, list] = await Promise.all([load("stats"), load("faults"),
      load("executions?limit=50&all=" + at("all").checked)]);
    cards(stats); chart(stats); answers(stats); faults(now); latest(list);
    at("state").textContent = "live";
  } catch (error) {
    at("state").textContent = "no connection, trying again";
  }
  setTimeout(refresh, 1000);
}
at("origin").textContent = location.origin;
refresh();
</script>
</body>
</html>
)html";

}  // namespace

std::string_view page() {
    return kPage;
}

}  // namespace postlane::sandbox
