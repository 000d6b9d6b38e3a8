// Joins the page to its stream: patches the parts that changed, feeds the charts, counts the time.
(function () {
  "use strict";

  const main = document.getElementById("main");
  const link = document.getElementById("link");
  const charts = window.poolmakerCharts;
  let source = null;

  function show(frame) {
    for (const [name, html] of Object.entries(frame.parts)) {
      const element = document.getElementById("part-" + name);
      if (element) window.poolmakerPatch(element, html);
    }
    charts.frame(frame);
    tick();
  }

  function connect() {
    source = new EventSource(main.dataset.stream);
    source.addEventListener("frame", (event) => {
      link.hidden = true;
      show(JSON.parse(event.data));
    });
    source.addEventListener("error", () => {
      link.hidden = false;
      if (source.readyState === EventSource.CLOSED) setTimeout(connect, 2000);
    });
  }

  function tick() {
    for (const time of document.querySelectorAll("time[data-since]")) {
      const end = Number(time.dataset.until || Date.now());
      const seconds = Math.max(0, Math.floor((end - Number(time.dataset.since)) / 1000));
      const pad = (n) => String(n).padStart(2, "0");
      const hours = Math.floor(seconds / 3600);
      const text = (hours ? hours + ":" : "") + pad(Math.floor(seconds / 60) % 60) + ":" + pad(seconds % 60);
      if (time.textContent !== text) time.textContent = text;
    }
  }

  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch (denied) { /* for this page only */ }
    charts.recolour();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.recolour());

  charts.start(JSON.parse(document.getElementById("first").textContent));
  setInterval(tick, 1000);
  connect();
})();
