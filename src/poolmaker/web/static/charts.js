// The charts: price with own quotes and fills, inventory against its band on the same time axis,
// depth with own levels. Numbers arrive as exact texts and become floats only here, to be drawn.
(function () {
  "use strict";

  const SPAN_S = 180;
  const POINTS_MAX = 900;
  const store = { t: [], mid: [], bid: [], ask: [], inv: [], fills: [], band: null, depth: null, now: 0 };
  const plots = {};

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  }

  function num(text) {
    return text === null || text === undefined ? null : Number(text);
  }

  function grouped(value, decimals) {
    return value.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  }

  function decimalsFor(span) {
    return Math.max(0, Math.min(8, 1 - Math.floor(Math.log10(span || 1))));
  }

  function axis(extra) {
    return Object.assign({
      stroke: () => colour("muted"), font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif",
      grid: { stroke: () => colour("line"), width: 1 }, ticks: { show: false }, gap: 4,
    }, extra);
  }

  // A label centred on a tick at the edge would be cut off.
  function atEdge(u, value) {
    const x = u.valToPos(value, "x");
    return x < 26 || x > u.bbox.width / devicePixelRatio - 8;
  }

  function timeAxis() {
    return axis({
      size: 22, space: 70,
      values: (u, ticks) => ticks.map((s) => atEdge(u, s) ? "" : new Date(s * 1000).toISOString().slice(11, 19)),
    });
  }

  function timeRange() {
    const end = store.now || (store.t.length ? store.t[store.t.length - 1] : Date.now() / 1000);
    const first = store.t.length ? store.t[0] : end - SPAN_S;
    return [Math.max(end - SPAN_S, Math.min(first, end - 30)), end];
  }

  function padded(low, high, share) {
    if (!isFinite(low) || !isFinite(high)) return [0, 1];
    const pad = Math.max((high - low) * share, Math.abs(high) * 1e-5);
    return [low - pad, high + pad];
  }

  function seenRange(columns, extra) {
    const [from] = timeRange();
    let low = Infinity, high = -Infinity;
    for (const column of columns) {
      column.forEach((v, i) => {
        if (v !== null && store.t[i] >= from) { low = Math.min(low, v); high = Math.max(high, v); }
      });
    }
    for (const v of extra) { low = Math.min(low, v); high = Math.max(high, v); }
    return padded(low, high, 0.12);
  }

  // Fills: a triangle up for what was bought, down for what was sold, at its price and time.
  function drawFills(u) {
    const ratio = devicePixelRatio, size = 4.5 * ratio, ctx = u.ctx;
    const [from, to] = timeRange();
    ctx.save();
    ctx.beginPath();
    ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
    ctx.clip();
    for (const fill of store.fills) {
      if (fill.t < from || fill.t > to) continue;
      const x = u.valToPos(fill.t, "x", true), y = u.valToPos(fill.price, "y", true);
      const up = fill.side === "BUY" ? -1 : 1;
      ctx.beginPath();
      ctx.moveTo(x, y + up * size);
      ctx.lineTo(x + size, y - up * size);
      ctx.lineTo(x - size, y - up * size);
      ctx.closePath();
      ctx.fillStyle = colour(fill.side === "BUY" ? "bid" : "ask");
      ctx.strokeStyle = colour("surface");
      ctx.lineWidth = 1.5 * ratio;
      ctx.stroke();
      ctx.fill();
    }
    ctx.restore();
  }

  function drawBand(u) {
    if (!store.band) return;
    const [target, band] = store.band.map((ppm) => ppm / 10000), ctx = u.ctx;
    const top = u.valToPos(target + band, "y", true), bottom = u.valToPos(target - band, "y", true);
    const middle = u.valToPos(target, "y", true);
    ctx.save();
    ctx.fillStyle = colour("band");
    ctx.fillRect(u.bbox.left, top, u.bbox.width, bottom - top);
    ctx.strokeStyle = colour("muted");
    ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(u.bbox.left, middle);
    ctx.lineTo(u.bbox.left + u.bbox.width, middle);
    ctx.stroke();
    ctx.restore();
  }

  // Own levels stand as bars from the axis, with a knob, in the depth.
  function drawOwn(u) {
    if (!store.depth) return;
    const ctx = u.ctx, ratio = devicePixelRatio;
    ctx.save();
    for (const [side, name] of [["bids", "bid"], ["asks", "ask"]]) {
      let sum = 0;
      for (const [price, quantity, own] of store.depth[side]) {
        sum += Number(quantity);
        if (Number(own) <= 0) continue;
        const x = u.valToPos(Number(price), "x", true), y = u.valToPos(sum, "y", true);
        ctx.strokeStyle = ctx.fillStyle = colour(name);
        ctx.lineWidth = 2 * ratio;
        ctx.beginPath();
        ctx.moveTo(x, u.bbox.top + u.bbox.height);
        ctx.lineTo(x, y);
        ctx.stroke();
        ctx.beginPath();
        ctx.arc(x, y, 3.5 * ratio, 0, 7);
        ctx.fill();
        ctx.strokeStyle = colour("surface");
        ctx.lineWidth = ratio;
        ctx.stroke();
      }
    }
    ctx.restore();
  }

  function base(id, options) {
    const element = document.getElementById(id);
    const plot = new uPlot(Object.assign({
      width: element.clientWidth || 300, height: element.clientHeight || 160,
      legend: { show: false }, padding: [8, 8, 0, 0],
      cursor: { y: false, drag: { setScale: false, x: false, y: false }, points: { size: 5 } },
    }, options), options.first, element);
    plots[id] = plot;
    new ResizeObserver(() => {
      if (element.clientWidth !== plot.width) plot.setSize({ width: element.clientWidth, height: element.clientHeight });
    }).observe(element);
    return plot;
  }

  const stepped = () => uPlot.paths.stepped({ align: 1 });

  function line(name, extra) {
    return Object.assign({ stroke: () => colour(name), width: 1.25, points: { show: false }, spanGaps: false }, extra);
  }

  function makePrice() {
    base("chart-price", {
      first: [[], [], [], []],
      cursor: { y: false, sync: { key: "time" }, drag: { setScale: false, x: false, y: false } },
      scales: {
        x: { time: false, range: timeRange },
        y: { range: () => seenRange([store.mid, store.bid, store.ask], []) },
      },
      axes: [timeAxis(), axis({
        side: 1, size: 58, space: 36,
        values: (u, ticks) => ticks.map((v) => grouped(v, decimalsFor((ticks[1] || v) - ticks[0]) > 2 ? 2 : decimalsFor((ticks[1] || v) - ticks[0]))),
      })],
      series: [{}, line("mid", { width: 1.5 }), line("bid", { paths: stepped(), width: 1.5 }), line("ask", { paths: stepped(), width: 1.5 })],
      bands: [{ series: [3, 2], fill: () => colour("between") }],
      hooks: { draw: [drawFills] },
    });
  }

  function makeInventory() {
    base("chart-inventory", {
      first: [[], []],
      cursor: { y: false, sync: { key: "time" }, drag: { setScale: false, x: false, y: false } },
      scales: { x: { time: false, range: timeRange }, y: { range: [0, 100] } },
      axes: [timeAxis(), axis({ side: 1, size: 58, space: 30, values: (u, ticks) => ticks.map((v) => v + " %") })],
      series: [{}, line("accent", { width: 2, paths: stepped() })],
      hooks: { drawClear: [drawBand] },
    });
  }

  function makeDepth() {
    base("chart-depth", {
      first: [[], [], []],
      scales: { x: { time: false }, y: { range: (u, low, high) => [0, (high || 1) * 1.1] } },
      axes: [
        axis({ size: 22, space: 70, values: (u, ticks) => ticks.map((v) => atEdge(u, v) ? "" : grouped(v, Math.min(2, decimalsFor((ticks[1] || v) - ticks[0])))) }),
        axis({ side: 1, size: 58, space: 26, values: (u, ticks) => ticks.map((v) => String(Number(v.toPrecision(4)))) }),
      ],
      series: [
        {},
        line("bid", { paths: uPlot.paths.stepped({ align: -1 }), fill: () => colour("bid-area") }),
        line("ask", { paths: uPlot.paths.stepped({ align: 1 }), fill: () => colour("ask-area") }),
      ],
      hooks: { draw: [drawOwn] },
    });
  }

  function depthColumns(depth) {
    const x = [], bids = [], asks = [];
    let sum = 0;
    const rising = depth.bids.map(([price, quantity]) => { sum += Number(quantity); return [Number(price), sum]; }).reverse();
    for (const [price, total] of rising) { x.push(price); bids.push(total); asks.push(null); }
    sum = 0;
    for (const [price, quantity] of depth.asks) { sum += Number(quantity); x.push(Number(price)); bids.push(null); asks.push(sum); }
    return [x, bids, asks];
  }

  function absorb(frame) {
    if (frame.full) {
      for (const column of ["t", "mid", "bid", "ask", "inv", "fills"]) store[column].length = 0;
    }
    for (const [ms, mid, bid, ask, inv] of frame.points) {
      store.t.push(ms / 1000);
      store.mid.push(num(mid));
      store.bid.push(num(bid));
      store.ask.push(num(ask));
      store.inv.push(inv === null ? null : inv / 10000);
    }
    for (const column of ["t", "mid", "bid", "ask", "inv"]) {
      if (store[column].length > POINTS_MAX) store[column].splice(0, store[column].length - POINTS_MAX);
    }
    for (const [, ms, price, side] of frame.fills) store.fills.push({ t: ms / 1000, price: Number(price), side });
    if (store.fills.length > POINTS_MAX) store.fills.splice(0, store.fills.length - POINTS_MAX);
    if (frame.now) store.now = frame.now / 1000;
    store.band = frame.band || store.band;
    store.depth = frame.depth || store.depth;
  }

  function redraw() {
    plots["chart-price"].setData([store.t, store.mid, store.bid, store.ask]);
    plots["chart-inventory"].setData([store.t, store.inv]);
    if (store.depth) plots["chart-depth"].setData(depthColumns(store.depth));
  }

  window.poolmakerCharts = {
    start(first) {
      absorb(Object.assign({ full: true }, first));
      makePrice();
      makeInventory();
      makeDepth();
      redraw();
    },
    frame(frame) {
      absorb(frame);
      redraw();
    },
    recolour() {
      Object.values(plots).forEach((plot) => plot.redraw(false, true));
    },
  };
})();
