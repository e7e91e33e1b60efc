// Recording to a wav file of 16 bits in memory: nothing is compressed, and any server reads it.

/** Starts recording; gives {finished, stop}: a promise of the file, and what ends the recording before `maxSeconds`. */
export async function startRecording(maxSeconds, showSeconds) {
  if (!navigator.mediaDevices) {
    throw new Error("Browsers let a page record only at https addresses and at localhost. Choose a file instead.");
  }
  // What a telephone call needs changes speech; networks were trained without.
  const raw = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  const stream = await navigator.mediaDevices.getUserMedia({ audio: raw });
  const context = new AudioContext();
  await context.audioWorklet.addModule("recorder.js");
  const source = context.createMediaStreamSource(stream);
  const node = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0 });
  const most = Math.floor(maxSeconds * context.sampleRate);
  const blocks = [];
  let size = 0;
  let stop;
  const finished = new Promise((resolve) => {
    stop = () => {
      node.port.onmessage = null;
      source.disconnect();
      stream.getTracks().forEach((track) => track.stop());
      context.close();
      resolve(wav(blocks, Math.min(size, most), context.sampleRate));
    };
  });
  node.port.onmessage = ({ data }) => {
    blocks.push(data);
    size += data.length;
    showSeconds(size / context.sampleRate);
    if (size >= most) stop();
  };
  source.connect(node);
  return { finished, stop };
}

function wav(blocks, size, rate) {
  const file = new DataView(new ArrayBuffer(44 + 2 * size));
  const text = (at, letters) => [...letters].forEach((letter, i) => file.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  file.setUint32(4, 36 + 2 * size, true);
  text(8, "WAVEfmt ");
  file.setUint32(16, 16, true); // bytes of the format: PCM, 1 channel, rate, bytes a second, bytes a sample, bits
  [1, 1].forEach((value, i) => file.setUint16(20 + 2 * i, value, true));
  [rate, 2 * rate].forEach((value, i) => file.setUint32(24 + 4 * i, value, true));
  [2, 16].forEach((value, i) => file.setUint16(32 + 2 * i, value, true));
  text(36, "data");
  file.setUint32(40, 2 * size, true);
  let at = 0;
  for (const sample of blocks.flatMap((block) => [...block]).slice(0, size)) {
    file.setInt16(44 + 2 * at++, Math.round(Math.max(-1, Math.min(1, sample)) * 32767), true);
  }
  return new Blob([file], { type: "audio/wav" });
}
