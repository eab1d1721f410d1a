// Draws the waveform in the browser exactly as macros/waveform.html does on the server.

/** The path of peaks in 0..1 over `bars` bars; the view box is `bars * 4` by 100. */
export function wavePath(peaks, bars) {
  let path = "";
  for (let i = 0; i < bars; i++) {
    const from = Math.floor((i * peaks.length) / bars);
    const to = Math.max(Math.floor(((i + 1) * peaks.length) / bars), from + 1);
    const peak = peaks.length ? Math.max(...peaks.slice(from, to)) : 0;
    const half = Math.round(Math.min(Math.max(peak, 0), 1) * 46);
    path += `M${i * 4 + 2} ${50 - half}v${half * 2}`;
  }
  return path;
}

/** Seconds as `1:05`. */
export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** Peaks of a recorded or chosen file, or an empty list if this browser can't decode it. */
export async function peaksOf(blob, bars = 120) {
  try {
    const audio = await new OfflineAudioContext(1, 1, 16000).decodeAudioData(await blob.arrayBuffer());
    const samples = audio.getChannelData(0);
    const size = Math.ceil(samples.length / bars);
    const peaks = [];
    for (let start = 0; start < samples.length; start += size) {
      let sum = 0;
      const end = Math.min(start + size, samples.length);
      for (let i = start; i < end; i++) sum += samples[i] * samples[i];
      peaks.push(Math.sqrt(sum / (end - start)));
    }
    const top = Math.max(...peaks, 1e-4);
    return { seconds: audio.duration, peaks: peaks.map((peak) => peak / top) };
  } catch {
    return { seconds: null, peaks: [] };
  }
}
