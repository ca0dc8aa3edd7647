(async () => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const unpack = async (text, Type) => {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const whole = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Type(await new Response(whole).arrayBuffer());
  };
  const make = (tag, text, parent, attributes = {}) => {
    const node = document.createElement(tag);
    if (text !== null) node.textContent = text;
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    if (parent) parent.append(node);
    return node;
  };
  const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
  const number = (x) => Math.round(x).toLocaleString("en-US");
  // light-dark() is only resolved where it is used as a colour.
  const probe = make("i", "", document.body, { hidden: "" });
  const ink = (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };

  const [rows, columns] = data.grid;
  const blocks = rows * columns;
  const bars = await unpack(data.bars, Uint32Array);
  let ticks = 0;
  const barTimes = Float64Array.from(await unpack(data.barTimes, Uint32Array), (more) => (ticks += more) / 10000);
  const selected = await unpack(data.selected, Uint32Array);
  const energies = {
    motion: await unpack(data.motion, Uint16Array),
    residual: await unpack(data.residual, Uint16Array),
    bits: await unpack(data.bits, Uint32Array),
    scores: await unpack(data.scores, Uint16Array),
  };
  const samples = data.sampleFrames.length;
  const canvases = data.canvases.length;

  // The place on a canvas of every block of every sample, -1 for those not kept; how many are kept of each.
  const place = new Int32Array(samples * blocks).fill(-1);
  const keptOf = new Uint32Array(samples);
  selected.forEach((source, at) => {
    place[source] = at;
    keptOf[Math.floor(source / blocks)] += 1;
  });
  const groupOf = new Uint32Array(samples);
  for (let g = 0; g + 1 < data.groupEdges.length; g += 1) groupOf.fill(g, data.groupEdges[g], data.groupEdges[g + 1]);

  const state = { canvas: 0, canvasBlock: 0, sample: 0, block: 0, held: false, layer: "kept" };

  // --- pictures, decoded when first wanted ---------------------------------------------------------------------
  const cache = new Map();
  const picture = (uri, then) => {
    let image = cache.get(uri);
    if (!image) {
      image = new Image();
      image.src = uri;
      cache.set(uri, image);
      if (cache.size > 400) cache.delete(cache.keys().next().value);
    }
    if (image.complete) then(image);
    else image.addEventListener("load", () => then(image), { once: true });
  };

  // --- what is chosen ------------------------------------------------------------------------------------------
  const chooseOnCanvas = (canvas, block) => {
    const source = selected[canvas * blocks + block];
    Object.assign(state, { canvas, canvasBlock: block, sample: Math.floor(source / blocks), block: source % blocks });
    draw();
  };
  const chooseInFrame = (sample, block) => {
    Object.assign(state, { sample, block, canvasBlock: -1 });
    const at = place[sample * blocks + block];
    if (at >= 0) Object.assign(state, { canvas: Math.floor(at / blocks), canvasBlock: at % blocks });
    else if (data.canvasGroup[state.canvas] !== groupOf[sample]) state.canvas = data.canvasGroup.indexOf(groupOf[sample]);
    draw();
  };
  const chooseSample = (sample) => {
    sample = clamp(sample, 0, samples - 1);
    let best = 0;
    let most = -1;
    for (let b = 0; b < blocks; b += 1) {
      const at = sample * blocks + b;
      const worth = energies.scores[at] + (place[at] >= 0 ? 1e6 : 0);
      if (worth > most) [best, most] = [b, worth];
    }
    state.held = false;
    chooseInFrame(sample, best);
  };
  const chooseCanvas = (canvas) => {
    state.held = false;
    chooseOnCanvas(clamp(canvas, 0, canvases - 1), 0);
  };
  const hold = (held) => {
    state.held = held;
    draw();
  };

  // --- drawing -------------------------------------------------------------------------------------------------
  const fit = (node, image) => {
    const wide = node.parentElement.clientWidth - 30;
    // On a phone both pictures stand on one screen.
    const high = Math.max(240, window.innerHeight * (window.innerWidth > 800 ? 0.78 : 0.4));
    const scale = Math.min(wide / (columns * data.block), high / (rows * data.block), 2);
    const [width, height] = [Math.round(columns * data.block * scale), Math.round(rows * data.block * scale)];
    const ratio = window.devicePixelRatio || 1;
    node.style.width = `${width}px`;
    node.style.height = `${height}px`;
    if (node.width !== Math.round(width * ratio)) node.width = Math.round(width * ratio);
    if (node.height !== Math.round(height * ratio)) node.height = Math.round(height * ratio);
    const pen = node.getContext("2d");
    pen.imageSmoothingQuality = "high";
    pen.drawImage(image, 0, 0, node.width, node.height);
    return pen;
  };
  const box = (node, block) => {
    const [row, column] = [Math.floor(block / columns), block % columns];
    const edge = (i, size, count) => Math.round((i * size) / count);
    const [x, y] = [edge(column, node.width, columns), edge(row, node.height, rows)];
    return [x, y, edge(column + 1, node.width, columns) - x, edge(row + 1, node.height, rows) - y];
  };
  const outline = (pen, node, block, paint, width) => {
    const [x, y, w, h] = box(node, block);
    const ratio = window.devicePixelRatio || 1;
    pen.lineWidth = (width + 2) * ratio;
    pen.strokeStyle = "rgba(0,0,0,.65)";
    pen.strokeRect(x, y, w, h);
    pen.lineWidth = width * ratio;
    pen.strokeStyle = paint;
    pen.strokeRect(x, y, w, h);
  };
  const MARK = "#ffd54a";

  const drawCanvas = () => {
    const shown = state.canvas;
    picture(data.canvases[shown], (image) => {
      if (shown !== state.canvas) return;
      const node = $("canvas");
      const pen = fit(node, image);
      // The other blocks of the same frame, faintly.
      for (let b = 0; b < blocks; b += 1) {
        if (b !== state.canvasBlock && Math.floor(selected[shown * blocks + b] / blocks) === state.sample) {
          const [x, y, w, h] = box(node, b);
          pen.fillStyle = "rgba(255,213,74,.13)";
          if (data.canvasKind[shown] === "P") pen.fillRect(x, y, w, h);
        }
      }
      if (state.canvasBlock >= 0) outline(pen, node, state.canvasBlock, MARK, 3);
    });
    const group = data.canvasGroup[shown];
    const kind = data.canvasKind[shown] === "I" ? "I-canvas, a whole frame" : "P-canvas, a collage";
    const sources = selected.slice(shown * blocks, (shown + 1) * blocks).map((s) => Math.floor(s / blocks)).sort();
    const count = new Set(sources).size;
    const [from, to] = [sources[0], sources[blocks - 1]].map((s) => data.sampleTimes[s].toFixed(2));
    const span = count > 1 ? `${count} frames from ${from} to ${to} s` : `${from} s`;
    $("canvas-about").textContent = `${shown + 1} of ${canvases}, group ${group + 1}: ${kind}; ${span}`;
    document.querySelectorAll("#groups button").forEach((b) => b.setAttribute("aria-current", String(Number(b.dataset.canvas) === shown)));
  };

  const drawFrame = () => {
    const shown = state.sample;
    const base = shown * blocks;
    picture(data.pictures[shown], (image) => {
      if (shown !== state.sample) return;
      const node = $("frame");
      const pen = fit(node, image);
      if (state.layer === "kept") {
        pen.fillStyle = "rgba(10,12,16,.78)";
        for (let b = 0; b < blocks; b += 1) if (place[base + b] < 0) pen.fillRect(...box(node, b));
      } else if (energies[state.layer]) {
        const values = energies[state.layer].subarray(base, base + blocks);
        const most = largest(values);
        pen.fillStyle = "rgba(10,12,16,.6)";
        pen.fillRect(0, 0, node.width, node.height);
        values.forEach((value, b) => {
          pen.fillStyle = `hsl(${55 - (50 * value) / most} 100% 55% / ${((0.85 * value) / most).toFixed(3)})`;
          pen.fillRect(...box(node, b));
        });
      }
      outline(pen, node, state.block, place[base + state.block] >= 0 ? MARK : "#ffffff", 3);
    });
    const type = { I: "I picture", P: "P picture", B: "B picture" }[data.sampleTypes[shown]] || `${data.sampleTypes[shown]} picture`;
    const whole = data.groupEdges.includes(shown) ? "kept whole, as its group's I-canvas" : `${keptOf[shown]} of ${blocks} blocks kept`;
    $("frame-about").textContent =
      `sample ${shown + 1} of ${data.allShown ? "" : "the "}${samples}${data.allShown ? "" : " shown"}: frame ${data.sampleFrames[shown]} at ${data.sampleTimes[shown].toFixed(2)} s, ${type} of ${number(data.sampleBytes[shown])} bytes; ${whole}`;
    $("scrubber").value = shown;
    $("scrubber").setAttribute("aria-valuetext", `${data.sampleTimes[shown].toFixed(2)} seconds`);
  };

  const METERS = [
    ["motion", "motion beyond the camera's", (v) => `${(v / 64).toFixed(2)} px per frame`],
    ["residual", "residual", (v) => `${(v / 16).toFixed(2)} grey levels`],
    ["bits", "bits spent", (v) => number(v)],
    ["scores", "score", (v) => `${((100 * v) / 65535).toFixed(1)} %`],
  ];
  for (const [name, title] of METERS) {
    const meter = make("div", null, $("meters"));
    const label = make("label", title, meter);
    make("output", "", label, { id: `value-${name}` });
    make("i", null, meter, { id: `bar-${name}` });
  }
  const drawBlock = () => {
    const base = state.sample * blocks;
    const at = base + state.block;
    for (const [name, , text] of METERS) {
      const inFrame = energies[name].subarray(base, base + blocks);
      $(`value-${name}`).textContent = text(energies[name][at]);
      $(`bar-${name}`).style.setProperty("--share", `${((100 * energies[name][at]) / largest(inFrame)).toFixed(1)}%`);
    }
    const scores = energies.scores.subarray(base, base + blocks);
    const rank = 1 + scores.reduce((n, v) => n + (v > energies.scores[at] ? 1 : 0), 0);
    const where = (b) => `row ${Math.floor(b / columns) + 1}, column ${(b % columns) + 1}`;
    const to = place[at];
    const kept = to < 0 ? "not kept" : `kept on canvas ${Math.floor(to / blocks) + 1} at ${where(to % blocks)}`;
    const first = data.groupEdges.includes(state.sample) ? "; frames that are kept whole are not scored" : `; place ${rank} of ${blocks} by score in its frame`;
    $("about").textContent = `${data.sampleTimes[state.sample].toFixed(2)} s, frame ${data.sampleFrames[state.sample]}, ${where(state.block)}: ${kept}${first}.`;
    $("pinned").hidden = !state.held;
  };

  const drawTimeline = timeline({ node: $("timeline"), data, bars, barTimes, keptOf, blocks, ink });

  let waiting = false;
  const draw = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      drawTimeline(state.sample);
      drawCanvas();
      drawFrame();
      drawBlock();
    });
  };

  // --- pointing ------------------------------------------------------------------------------------------------
  const blockAt = (node, event) => {
    const area = node.getBoundingClientRect();
    const column = clamp(Math.floor(((event.clientX - area.left) / area.width) * columns), 0, columns - 1);
    const row = clamp(Math.floor(((event.clientY - area.top) / area.height) * rows), 0, rows - 1);
    return row * columns + column;
  };
  const pointing = (node, choose) => {
    node.addEventListener("pointermove", (event) => {
      if (!state.held && event.pointerType === "mouse") choose(blockAt(node, event));
    });
    node.addEventListener("click", (event) => {
      choose(blockAt(node, event));
      hold(true);
    });
  };
  pointing($("canvas"), (block) => chooseOnCanvas(state.canvas, block));
  pointing($("frame"), (block) => chooseInFrame(state.sample, block));

  const nearest = (event) => {
    const area = $("timeline").getBoundingClientRect();
    const time = clamp((event.clientX - area.left) / area.width, 0, 1) * data.duration;
    const away = (s) => Math.abs(data.sampleTimes[s] - time);
    const best = data.sampleTimes.reduce((b, _, s) => (away(s) < away(b) ? s : b), 0);
    return [best, barTimes.findLastIndex((t) => t <= time)];
  };
  let dragging = false;
  $("timeline").addEventListener("pointerdown", (event) => {
    dragging = true;
    $("timeline").setPointerCapture(event.pointerId);
    chooseSample(nearest(event)[0]);
  });
  $("timeline").addEventListener("pointerup", () => (dragging = false));
  $("timeline").addEventListener("pointercancel", () => (dragging = false));
  $("timeline").addEventListener("pointermove", (event) => {
    const [sample, at] = nearest(event);
    if (dragging) chooseSample(sample);
    const name = { I: "keyframe", P: "predicted from earlier", B: "from both sides" }[data.barTypes[at]];
    const what = data.framesPerBar > 1 ? `largest of ${data.framesPerBar} packets` : `frame ${number(at)}`;
    $("readout").textContent = `${barTimes[at].toFixed(2)} s, ${what}: ${number(bars[at])} bytes, ${name}`;
  });

  // --- keys and buttons ----------------------------------------------------------------------------------------
  const arrows = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  const moved = (block, [dy, dx]) =>
    clamp(Math.floor(block / columns) + dy, 0, rows - 1) * columns + clamp((block % columns) + dx, 0, columns - 1);
  $("canvas").addEventListener("keydown", (event) => {
    if (!arrows[event.key]) return;
    event.preventDefault();
    chooseOnCanvas(state.canvas, state.canvasBlock < 0 ? 0 : moved(state.canvasBlock, arrows[event.key]));
  });
  $("frame").addEventListener("keydown", (event) => {
    if (!arrows[event.key]) return;
    event.preventDefault();
    chooseInFrame(state.sample, moved(state.block, arrows[event.key]));
  });
  $("timeline").addEventListener("keydown", (event) => {
    const to = { ArrowLeft: state.sample - 1, ArrowRight: state.sample + 1, Home: 0, End: samples - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    chooseSample(to);
  });
  let playing = null;
  const play = (on) => {
    clearInterval(playing);
    playing = on ? setInterval(() => (state.sample + 1 < samples ? chooseSample(state.sample + 1) : play(false)), 120) : null;
    $("play").setAttribute("aria-pressed", String(on));
    $("play").textContent = on ? "Stop" : "Play";
  };
  const toggle = () => {
    if (!playing && state.sample === samples - 1) chooseSample(0);
    play(!playing);
  };
  document.addEventListener("keydown", (event) => {
    // Many layouts write brackets with AltGr, which some systems report as Ctrl and Alt.
    const chord = event.metaKey || ((event.ctrlKey || event.altKey) && !event.getModifierState("AltGraph"));
    if (chord || ["SELECT", "TEXTAREA"].includes(event.target.tagName)) return;
    const on = ["canvas", "frame"].includes(event.target.id);
    const deeds = {
      "[": () => chooseCanvas(state.canvas - 1),
      "]": () => chooseCanvas(state.canvas + 1),
      ",": () => chooseSample(state.sample - 1),
      ".": () => chooseSample(state.sample + 1),
      Escape: () => hold(false),
      " ": event.target.tagName === "BUTTON" ? null : toggle,
      Enter: on ? () => hold(!state.held) : null,
    };
    if (!deeds[event.key]) return;
    event.preventDefault();
    deeds[event.key]();
  });
  $("canvas-back").addEventListener("click", () => chooseCanvas(state.canvas - 1));
  $("canvas-on").addEventListener("click", () => chooseCanvas(state.canvas + 1));
  $("sample-back").addEventListener("click", () => chooseSample(state.sample - 1));
  $("sample-on").addEventListener("click", () => chooseSample(state.sample + 1));
  $("play").addEventListener("click", toggle);
  $("scrubber").max = samples - 1;
  $("scrubber").addEventListener("input", () => chooseSample(Number($("scrubber").value)));
  $("layer").addEventListener("change", () => {
    state.layer = $("layer").value;
    draw();
  });
  $("theme").addEventListener("click", () => {
    const dark = getComputedStyle(document.documentElement).colorScheme === "dark" ||
      (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
    document.documentElement.dataset.theme = dark ? "light" : "dark";
    draw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  window.addEventListener("resize", draw);

  // --- what stands still ---------------------------------------------------------------------------------------
  for (const [name, value, more] of data.summary) {
    const card = make("div", null, $("summary"));
    make("dt", name, card);
    make("dd", value, card);
    make("dd", more, card);
  }
  for (const warning of data.warnings) make("li", warning, $("warnings"));
  for (const [title, lines] of Object.entries(data.tables)) {
    const table = make("table", null, $("tables"));
    make("caption", title, table);
    for (const line of lines) {
      const row = make("tr", null, table);
      for (const cell of line) make("td", cell, row);
    }
  }
  for (let g = 0; g + 1 < data.groupEdges.length; g += 1) {
    const figure = make("figure", null, $("groups"));
    make("figcaption", `Group ${g + 1}: ${data.groups[g]}`, figure);
    const row = make("div", null, figure, { class: "row" });
    data.canvasGroup.forEach((group, c) => {
      if (group !== g) return;
      const button = make("button", null, row, { type: "button", "data-canvas": c, "aria-label": `Canvas ${c + 1}, ${data.canvasKind[c]}` });
      make("img", null, button, { src: data.canvases[c], alt: "", loading: "lazy" });
      button.addEventListener("click", () => {
        chooseCanvas(c);
        $("canvas").scrollIntoView({ block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
      });
    });
  }
  const collage = data.canvasKind.indexOf("P");
  chooseOnCanvas(Math.max(0, collage), 0);
  document.documentElement.dataset.ready = "";
})();
