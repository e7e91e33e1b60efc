// The page: takes a recording, asks the server what the runs make of it, and shows that.

import { drawPlots, percent } from "./plots.js";
import { startRecording } from "./record.js";

const READABLE = 160; // pixels a second at which tokens can be told apart
const find = (id) => document.getElementById(id);
const [audio, zoom, panels, record, file] = ["audio", "zoom", "panels", "record", "file"].map(find);
const about = await (await fetch("about")).json();
let recording = null; // what is recorded now
let upload = null; // what is recognised last, and its name
let shown = null; // what the server said of it
let newest = 0; // answers to older requests are not shown
let movePlayhead = () => {};
let endOfWord = Infinity;

find("names").textContent = about.runs.map((run) => run.name).join(" and ");
find("limits").textContent = `${about.max_s} s and ${about.max_mb} MB`;
for (const language of about.languages) {
  find("language").add(new Option(language, language, false, language === about.language));
}

file.addEventListener("change", () => file.files.length && recognize(file.files[0], file.files[0].name));
find("language").addEventListener("change", () => upload && recognize(...upload));
find("controls").addEventListener("submit", (event) => event.preventDefault());
zoom.addEventListener("input", draw);

record.addEventListener("click", async () => {
  if (recording) return recording.stop();
  record.disabled = true; // until the user has allowed it
  showProblem(null);
  try {
    const seconds = Math.min(about.max_s, (about.max_mb * 1e6 - 100) / (2 * 48000));
    recording = await startRecording(seconds, (now) => (record.textContent = `Stop (${now.toFixed(1)} s)`));
    record.disabled = false;
    record.textContent = "Stop";
    find("status").textContent = "Recording …";
    const content = await recording.finished;
    file.value = "";
    recognize(content, "The recording");
  } catch (error) {
    showProblem({ problem: "The microphone cannot be used", received: error.message });
  }
  recording = null;
  record.disabled = false;
  record.textContent = "Record";
});

record.disabled = false;

async function recognize(content, name) {
  const number = ++newest;
  upload = [content, name];
  showProblem(null);
  find("result").hidden = true;
  find("status").textContent = `Recognising ${name} …`;
  const answer = await ask(content);
  if (number !== newest) return;
  find("status").textContent = "";
  if (answer.problem) return showProblem({ ...answer, problem: `${name}: ${answer.problem}` });
  shown = answer;
  URL.revokeObjectURL(audio.src);
  audio.src = URL.createObjectURL(content);
  find("result").hidden = false;
  find("transcripts").replaceChildren(...shown.runs.map(transcript));
  const fitting = (panels.clientWidth - 60) / shown.waveform.duration_s;
  zoom.value = Math.max(fitting, READABLE);
  draw();
}

async function ask(content) {
  if (content.size > about.max_mb * 1e6) {
    const received = `${(content.size / 1e6).toFixed(2)} MB`;
    const action = "cut it, or save it as flac or mp3";
    return { problem: "The file is too large", expected: `at most ${about.max_mb} MB`, received, action };
  }
  try {
    const headers = { "Content-Type": "application/octet-stream" };
    const language = encodeURIComponent(find("language").value);
    const response = await fetch(`recognize?language=${language}`, { method: "POST", body: content, headers });
    return await response.json();
  } catch {
    return { problem: "No answer", received: "nothing", action: "see whether speech-mtl demo still runs, and try again" };
  }
}

function draw() {
  if (!shown) return;
  const runs = shown.runs.filter((run) => !run.error);
  movePlayhead = drawPlots(panels, shown.waveform, runs, Number(zoom.value));
  movePlayhead(audio.currentTime);
}

function transcript(run) {
  const section = document.createElement("section");
  const title = section.appendChild(document.createElement("h2"));
  title.textContent = run.name;
  if (run.error) {
    const box = section.appendChild(document.createElement("div"));
    box.className = "problem";
    box.append(...lines(run.error));
    return section;
  }
  const languages = about.runs.find((one) => one.name === run.name).languages;
  title.append(" ", small(`trained on ${languages.join(", ")}`));
  const words = section.appendChild(document.createElement("div"));
  words.className = "words";
  words.lang = run.language;
  words.dir = "auto";
  words.append(...run.words.map(wordButton));
  if (!run.words.length) words.textContent = "No words were recognised.";
  return section;
}

function wordButton({ text, start_s, end_s, confidence }) {
  const button = document.createElement("button");
  button.type = "button";
  button.style.setProperty("--doubt", 1 - confidence);
  button.append(text, small(`${start_s.toFixed(2)} s · ${percent(confidence)}`));
  button.title = `${start_s.toFixed(2)} to ${end_s.toFixed(2)} s, confidence ${percent(confidence)}`;
  button.addEventListener("click", () => {
    audio.currentTime = start_s;
    endOfWord = end_s;
    audio.play().catch((error) => showProblem({ problem: "This browser cannot play the file", received: error.message }));
  });
  return button;
}

audio.addEventListener("play", function follow() {
  movePlayhead(audio.currentTime);
  if (audio.currentTime >= endOfWord) audio.pause();
  if (audio.paused) endOfWord = Infinity;
  else requestAnimationFrame(follow);
});
audio.addEventListener("seeked", () => movePlayhead(audio.currentTime));

function small(text) {
  const element = document.createElement("small");
  element.textContent = text;
  return element;
}

function showProblem(problem) {
  find("problem").replaceChildren(...(problem ? lines(problem) : []));
}

function lines({ problem, expected, received, action }) {
  const named = [["", problem], ["Expected: ", expected], ["Received: ", received], ["What to do: ", action]];
  return named.filter(([, text]) => text).map(([title, text]) => {
    const line = document.createElement("p");
    if (title) line.textContent = title + text;
    else line.append(Object.assign(document.createElement("strong"), { textContent: text }));
    return line;
  });
}
