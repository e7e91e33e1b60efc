// Draws waveform, spectrograms and token probabilities over one axis of time.

const AXIS = 44; // width of the axis on the left, which stays where it is when the plots are scrolled
const PAD = 8; // above and below what is drawn
const TEXT = 14; // height of a line of text
const COLOURS = 6;
const STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600];
const HEAT = [[6, 5, 30], [75, 15, 110], [170, 45, 105], [240, 110, 60], [255, 245, 170]]; // from weak to strong

const two = (number) => number.toFixed(2);
export const percent = (share) => `${Math.round(100 * share)} %`;
const shownToken = (text) => (text === " " ? "␣" : text);

function add(parent, name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

/** Draws everything into `box`; gives a function that puts the line of what is played at a time in seconds. */
export function drawPlots(box, waveform, runs, pixelsPerSecond) {
  const x = (seconds) => seconds * pixelsPerSecond;
  const scale = { x, width: x(waveform.duration_s), duration: waveform.duration_s, pixelsPerSecond };
  box.replaceChildren();
  drawWaveform(box, scale, waveform);
  const seen = new Set();
  for (const run of runs) {
    const image = JSON.stringify(run.pieces.map((piece) => piece.mel.levels));
    if (seen.has(image)) continue; // of two runs with the same features, one is enough
    drawSpectrogram(box, scale, run, seen.size ? `, ${run.name}` : "");
    seen.add(image);
  }
  for (const run of runs) drawProbabilities(box, scale, run);
  drawTimes(box, scale);
  const heads = [...box.querySelectorAll(".head")];
  return (seconds) => heads.forEach((head) => head.setAttribute("transform", `translate(${x(seconds)})`));
}

/** An empty panel; `ticks` are [text, height of its line]. Gives what to draw into, with y from 0 to `height`. */
function panel(box, scale, title, label, height, ticks) {
  const whole = document.createElement("div");
  whole.className = "panel";
  whole.innerHTML = '<h3></h3><div class="row"></div>';
  whole.firstChild.textContent = title;
  const row = whole.lastChild;
  const full = height + 2 * PAD;
  const axis = add(row, "svg", { class: "axis", width: AXIS, height: full, "aria-hidden": "true" });
  const svg = add(row, "svg", { width: scale.width + PAD, height: full, role: "img", "aria-label": label });
  const inside = add(svg, "g", { transform: `translate(0 ${PAD})` });
  for (const [text, at] of ticks) {
    add(axis, "text", { x: AXIS - 6, y: PAD + at + 4, "text-anchor": "end", class: "muted" }, text);
    add(axis, "path", { d: `M${AXIS - 4},${PAD + at}h4`, class: "grid" });
  }
  for (const time of times(scale)) add(inside, "path", { d: `M${scale.x(time)},0v${height}`, class: "grid" });
  add(inside, "rect", { width: scale.width, height, class: "frame" });
  box.append(whole);
  const content = add(inside, "g", {});
  add(inside, "path", { d: `M0,${-PAD}v${full}`, class: "head" });
  return content;
}

function drawWaveform(box, scale, { low, high, step_s }) {
  const height = 90;
  const peak = Math.max(...high, ...low.map((value) => -value));
  const y = (value) => two((height * (1 - value / peak)) / 2);
  const label = `Waveform, ${two(scale.duration)} s, loudest sample ${two(peak)} of full scale`;
  const ticks = [[two(peak), 0], ["0", height / 2], [two(-peak), height]];
  const svg = panel(box, scale, "Waveform (1 is full scale)", label, height, ticks);
  const upper = high.map((value, i) => `${two(scale.x((i + 0.5) * step_s))},${y(value)}`);
  const lower = low.map((value, i) => `${two(scale.x((i + 0.5) * step_s))},${y(value)}`);
  add(svg, "path", { d: `M${upper.join("L")}L${lower.reverse().join("L")}Z`, class: "wave" });
}

function drawSpectrogram(box, scale, run, name) {
  const height = 140;
  const ticks = run.ticks.map(([text, at]) => [text, height * (1 - at)]);
  const title = `Log-mel spectrogram (kHz; bright is strong)${name}`;
  const svg = panel(box, scale, title, `${title}, ${run.pieces[0].mel.num_bands} bands`, height, ticks);
  for (const { mel } of run.pieces) {
    const left = scale.x(mel.start_s);
    const place = { x: left, width: scale.x(mel.end_s) - left, height, preserveAspectRatio: "none" };
    add(svg, "image", { ...place, href: picture(mel) });
  }
}

function picture({ num_bands: bands, levels }) {
  const bytes = Uint8Array.from(atob(levels), (letter) => letter.charCodeAt(0));
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [bytes.length / bands, bands];
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, bands);
  bytes.forEach((level, i) => {
    const place = (bands - 1 - (i % bands)) * canvas.width + Math.floor(i / bands); // low bands lie below
    image.data.set([...heat(level / 255), 255], 4 * place);
  });
  context.putImageData(image, 0, 0);
  return canvas.toDataURL();
}

function heat(level) {
  const place = level * (HEAT.length - 1);
  const [below, above] = [HEAT[Math.floor(place)], HEAT[Math.ceil(place)]];
  return below.map((value, i) => value + (above[i] - value) * (place % 1));
}

function drawProbabilities(box, scale, run) {
  const height = 120;
  const bottom = TEXT + height; // above the curves there is room for the names of their tokens, below them for the words
  const y = (probability) => two(bottom - height * probability);
  const label = `Token probabilities of ${run.name}: ${run.words.map((word) => word.text).join(" ")}`;
  const ticks = [["1", TEXT], ["0.5", TEXT + height / 2], ["0", bottom]];
  const svg = panel(box, scale, `Token probabilities: ${run.name}`, label, bottom + 24, ticks);
  for (const { frames_s, blank, tokens } of run.pieces) {
    add(svg, "path", { d: `M${frames_s.map((time, i) => `${two(scale.x(time))},${y(blank[i])}`).join("L")}`, class: "blank" });
    const step = frames_s.length > 1 ? frames_s[1] - frames_s[0] : 0.04;
    for (const { text, first, probabilities } of tokens) {
      const points = probabilities.map((probability, i) => [frames_s[first + i], probability]);
      drawToken(svg, scale, shownToken(text), points, step, y);
    }
  }
  for (const { text, start_s, end_s, confidence } of run.words) {
    const place = { x: scale.x(start_s), y: bottom + 4, width: scale.x(end_s - start_s), height: 18, class: "word" };
    add(svg, "rect", { ...place, "fill-opacity": 1 - confidence });
    add(svg, "text", { x: scale.x((start_s + end_s) / 2), y: bottom + 17, "text-anchor": "middle" }, text);
  }
}

/** A curve from zero to zero; its token stands at its highest point, unless that is low. */
function drawToken(svg, scale, text, points, step, y) {
  const line = [[points[0][0] - step, 0], ...points, [points.at(-1)[0] + step, 0]];
  const path = line.map(([time, probability]) => `${two(scale.x(time))},${y(probability)}`).join("L");
  const colour = `var(--series-${[...text].reduce((sum, letter) => sum + letter.codePointAt(0), 0) % COLOURS})`;
  const curve = add(svg, "path", { d: `M${path}`, class: "token", fill: colour, stroke: colour });
  const [time, peak] = points.reduce((best, point) => (point[1] > best[1] ? point : best));
  add(curve, "title", {}, `${text}: ${percent(peak)} at ${two(time)} s`);
  if (peak < 0.2) return;
  const place = { x: scale.x(time), y: y(peak) - 3, "text-anchor": "middle" };
  add(svg, "text", place, text);
}

function times({ duration, pixelsPerSecond }) {
  const step = STEPS_S.find((seconds) => seconds * pixelsPerSecond >= 50) ?? STEPS_S.at(-1);
  return Array.from({ length: Math.floor(duration / step + 1e-9) + 1 }, (_, i) => i * step);
}

function drawTimes(box, scale) {
  const row = document.createElement("div");
  row.className = "row";
  add(row, "svg", { class: "axis", width: AXIS, height: 34, "aria-hidden": "true" });
  const svg = add(row, "svg", { width: scale.width + PAD, height: 34, role: "img", "aria-label": "Time in seconds" });
  for (const time of times(scale)) {
    const anchor = !time ? "start" : scale.x(time) < scale.width - 12 ? "middle" : "end";
    add(svg, "text", { x: scale.x(time), y: 12, "text-anchor": anchor }, `${Number(time.toFixed(1))} s`);
  }
  box.append(row);
}
