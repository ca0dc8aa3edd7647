"use strict";
const largest = (values) => values.reduce((a, b) => Math.max(a, b), 1);

// Draws the packets, groups and samples over time, with a line at one sample.
const timeline = ({ node, data, bars, barTimes, keptOf, blocks, ink }) => {
  const samples = data.sampleFrames.length;
  return (sample) => {
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [node.clientWidth, node.clientHeight];
    [node.width, node.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    const pen = node.getContext("2d");
    pen.scale(ratio, ratio);
    const [axis, lane, share] = [18, 16, 26];
    const floor = height - axis - lane - share;
    const most = Math.sqrt(largest(bars));
    const paints = { I: ink("--key"), P: ink("--p"), B: ink("--b") };
    const xOf = (seconds) => (seconds / data.duration) * width;
    // One column of pixels shows the largest packet of each kind in it, keyframes first.
    for (const kind of "IPB") {
      pen.fillStyle = paints[kind];
      const columnsDrawn = new Float32Array(Math.ceil(width) + 1);
      for (let i = 0; i < bars.length; i += 1) {
        if (data.barTypes[i] !== kind) continue;
        const x = xOf(barTimes[i]);
        const bar = Math.max(1, xOf(barTimes[i + 1] ?? data.duration) - x - 0.4);
        const h = ((floor - 4) * Math.sqrt(bars[i])) / most;
        const column = Math.floor(x);
        if (bar <= 1 && h <= columnsDrawn[column]) continue;
        columnsDrawn[column] = h;
        pen.fillRect(bar <= 1 ? column : x, floor - h, bar, h);
      }
    }
    // Groups, and the samples as high as what is kept of them.
    const timeOf = (s) => data.sampleTimes[s] ?? data.duration;
    for (let g = 0; g + 1 < data.groupEdges.length; g += 1) {
      const from = g === 0 ? 0 : xOf(timeOf(data.groupEdges[g]));
      const to = xOf(timeOf(data.groupEdges[g + 1]));
      pen.fillStyle = ink(g % 2 ? "--line" : "--back");
      pen.fillRect(from, floor, to - from, lane);
      if (g > 0) {
        pen.fillStyle = ink("--cut");
        pen.fillRect(from - 0.75, 0, 1.5, floor + lane);
      }
      pen.fillStyle = ink("--quiet");
      pen.font = "11px system-ui, sans-serif";
      pen.textAlign = "center";
      if (to - from > 18) pen.fillText(String(g + 1), (from + to) / 2, floor + 12);
    }
    pen.fillStyle = ink("--sample");
    for (let s = 0; s < samples; s += 1) {
      const h = 3 + ((share - 5) * keptOf[s]) / blocks;
      pen.fillRect(xOf(data.sampleTimes[s]), floor + lane + share - h, Math.max(1, Math.min(3, width / samples - 0.6)), h);
    }
    // The axis: at most one label in 70 pixels, at round numbers of seconds.
    const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600].find((s) => (s / data.duration) * width > 70) || 7200;
    pen.fillStyle = ink("--quiet");
    for (let s = 0; s <= data.duration; s += step) {
      const x = xOf(s);
      pen.textAlign = x < 12 ? "left" : x > width - 24 ? "right" : "center";
      const text = step < 60 ? `${Number(s.toFixed(1))} s` : `${Math.floor(s / 60)}:${String(Math.round(s % 60)).padStart(2, "0")}`;
      pen.fillText(text, x, height - 4);
    }
    const x = xOf(data.sampleTimes[sample]);
    pen.fillStyle = ink("--ink");
    pen.fillRect(x - 1, 0, 2, height - axis);
    node.setAttribute("aria-valuemax", String(samples - 1));
    node.setAttribute("aria-valuenow", String(sample));
    node.setAttribute("aria-valuetext", `${data.sampleTimes[sample].toFixed(2)} seconds`);
  };
};
