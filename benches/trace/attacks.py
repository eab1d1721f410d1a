"""What happens to copies: functions from mono float32 at 16 kHz to the same, deterministic for given arguments.

Codecs and filters run in the process (PyAV) where it has them; GSM, AMR-WB, Vorbis, Codec2 and rubberband need the
command `ffmpeg` (Debian's has them all): `missing_tools` says what a machine lacks. What is added or convolved comes
from the caller; see benches/trace/materials.py.
"""

from __future__ import annotations

import io
import shutil
import subprocess
from functools import cache
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.signal import butter, fftconvolve, sosfilt

Floats = NDArray[np.float32]
RATE = 16_000
_FRAME = RATE // 50  # 20 ms
_RAW = ("-f", "f32le", "-ar", str(RATE), "-ac", "1")
_COMMAND_CODECS = ("libgsm", "libvo_amrwbenc", "libvorbis", "libcodec2")


# files and codecs


def load(source: Path | io.BytesIO, rate: int = RATE) -> Floats:
    """Any audio file as mono float32."""
    resampler = av.AudioResampler("flt", "mono", rate)
    with av.open(source, "r") as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def resampled(audio: Floats, rate_in: float, rate_out: float) -> Floats:
    """At another rate."""
    return np.asarray(soxr.resample(audio, rate_in, rate_out), np.float32)


def encoded(
    audio: Floats, codec: str, container: str, bits: int = 0, rate: int = RATE, options: dict[str, str] | None = None
) -> Floats:
    """Through a codec of PyAV, at a sample rate and `bits` per second, and back."""
    file = io.BytesIO()
    samples = np.clip(np.round(resampled(audio, RATE, rate) * 32767), -32768, 32767).astype(np.int16)
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout="mono", options=options or {})
        assert isinstance(stream, av.AudioStream)
        if bits:
            stream.bit_rate = bits
        resampler = av.AudioResampler(stream.format.name, "mono", rate, frame_size=stream.frame_size or 0)
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = rate
        pieces = [*resampler.resample(frame), *resampler.resample(None)]
        out.mux([packet for piece in [*pieces, None] for packet in stream.encode(piece)])
    file.seek(0)
    return load(file)


def mp3(audio: Floats, kilobits: int) -> Floats:
    """MP3; from 64 kbit/s up at 24 kHz."""
    return encoded(audio, "libmp3lame", "mp3", kilobits * 1000, 24_000 if kilobits >= 64 else RATE)


def aac(audio: Floats, kilobits: int) -> Floats:
    """AAC-LC, by ffmpeg's own encoder."""
    return encoded(audio, "aac", "adts", kilobits * 1000)


def opus(audio: Floats, kilobits: int) -> Floats:
    """Opus as voice messages use it."""
    return encoded(audio, "libopus", "ogg", kilobits * 1000, options={"application": "voip"})


def amr(audio: Floats, bits: int) -> Floats:
    """AMR narrow band, the codec of mobile telephones."""
    return encoded(audio, "libopencore_amrnb", "amr", bits, 8000)


def g711(audio: Floats, law: str = "mulaw") -> Floats:
    """A telephone line: 300 to 3400 Hz, 8 kHz, `mulaw` or `alaw`."""
    band = butter(4, [300, 3400], btype="bandpass", fs=8000, output="sos")
    narrow = np.asarray(sosfilt(band, resampled(audio, RATE, 8000)), np.float32)
    return encoded(resampled(narrow, 8000, RATE), f"pcm_{law}", "wav", 0, 8000)


def gsm(audio: Floats) -> Floats:
    """GSM full rate, 13 kbit/s: the first mobile telephones, and many a call centre still."""
    return commanded(audio, "gsm", "-ar", "8000", "-c:a", "libgsm")


def amr_wide(audio: Floats, bits: int) -> Floats:
    """AMR wide band ("HD voice")."""
    return commanded(audio, "amr", "-ar", "16000", "-c:a", "libvo_amrwbenc", "-b:a", str(bits))


def vorbis(audio: Floats, quality: int) -> Floats:
    """Ogg Vorbis, quality -1 to 10."""
    return commanded(audio, "ogg", "-c:a", "libvorbis", "-q:a", str(quality))


def codec2(audio: Floats, bits: int) -> Floats:
    """Codec2, a vocoder: only pitch, loudness and a few line spectra survive."""
    return commanded(audio, "codec2", "-ar", "8000", "-c:a", "libcodec2", "-mode", str(bits))


def commanded(audio: Floats, container: str, *options: str) -> Floats:
    """Through an encoder of the command ffmpeg, given by its options, and back."""
    file = _ffmpeg(audio.astype("<f4").tobytes(), *_RAW, "-i", "pipe:0", "-ac", "1", *options, "-f", container)
    return _floats(_ffmpeg(file, "-f", container, "-i", "pipe:0", *_RAW))


def missing_tools() -> list[str]:
    """What can't be done on this machine, in words; empty when every attack can."""
    if shutil.which("ffmpeg") is None:
        return ["the command ffmpeg, for GSM, AMR-WB, Vorbis, Codec2 and rubberband"]
    known = _listed("-encoders") + _listed("-filters")
    return [f"{name} in the command ffmpeg" for name in (*_COMMAND_CODECS, "rubberband") if name not in known]


@cache
def _listed(option: str) -> str:
    return subprocess.run(["ffmpeg", "-hide_banner", option], capture_output=True, check=True, text=True).stdout


def _ffmpeg(data: bytes, *options: str) -> bytes:
    command = ["ffmpeg", "-hide_banner", "-v", "error", "-threads", "1", *options, "pipe:1"]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


def _floats(raw: bytes) -> Floats:
    return np.frombuffer(raw, "<f4").astype(np.float32)


# filters, dynamics


def filtered(audio: Floats, *filters: tuple[str, str]) -> Floats:
    """Through (name, options) of libavfilter, one after the other."""
    graph = av.filter.Graph()
    steps = [graph.add_abuffer(format="flt", sample_rate=RATE, layout="mono")]
    steps += [graph.add(name, options) for name, options in filters]
    # some filters change the sample rate or format: back to ours
    steps += [graph.add("aformat", f"sample_fmts=flt:sample_rates={RATE}:channel_layouts=mono")]
    steps += [graph.add("abuffersink")]
    for first, second in pairwise(steps):
        first.link_to(second)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio[None], np.float32), format="flt", layout="mono")
    frame.sample_rate, frame.pts = RATE, 0
    graph.push(frame)
    graph.push(None)
    out = []
    while True:
        try:
            out.append(graph.pull().to_ndarray()[0])
        except av.EOFError:
            whole: Floats = np.concatenate(out)
            return whole


def passed(audio: Floats, low: float | None, high: float | None, order: int = 4) -> Floats:
    """Only what is above `low` and below `high` Hz."""
    if low and high:
        sos = butter(order, [low, high], btype="bandpass", fs=RATE, output="sos")
    else:
        sos = butter(order, low or high, btype="highpass" if low else "lowpass", fs=RATE, output="sos")
    return np.asarray(sosfilt(sos, audio), np.float32)


def gained(audio: Floats, db: float) -> Floats:
    """Louder or softer; what passes full scale is clipped."""
    return np.asarray(np.clip(audio * np.float32(10 ** (db / 20)), -1, 1), np.float32)


def quantised(audio: Floats, bits: int) -> Floats:
    """In so many bits a sample, after levelling to full scale."""
    steps = 2 ** (bits - 1) - 1
    return np.asarray(np.round(audio / _peak(audio) * steps) / steps, np.float32)


# time and pitch


def speed(audio: Floats, factor: float) -> Floats:
    """Played faster: pitch and time together."""
    return resampled(audio, RATE * factor, RATE)


def tempo(audio: Floats, factor: float) -> Floats:
    """Faster at the same pitch (ffmpeg's atempo: overlapping pieces)."""
    return filtered(audio, ("atempo", str(factor)))


def pitch(audio: Floats, semitones: float) -> Floats:
    """Higher at the same length."""
    factor = 2 ** (semitones / 12)
    return tempo(speed(audio, factor), 1 / factor)


def rubberband(audio: Floats, *, tempo: float = 1.0, semitones: float = 0.0) -> Floats:
    """Tempo and pitch as music software changes them (a phase vocoder); needs the command ffmpeg."""
    options = f"rubberband=tempo={tempo}:pitch={2 ** (semitones / 12)}"
    return _floats(_ffmpeg(audio.astype("<f4").tobytes(), *_RAW, "-i", "pipe:0", "-af", options, *_RAW))


def jittered(audio: Floats, share: float, rng: np.random.Generator) -> Floats:
    """A sample dropped or doubled in about `share` of all 20 ms."""
    pieces = []
    for begin in range(0, len(audio), _FRAME):
        piece = audio[begin : begin + _FRAME]
        if rng.random() < share and len(piece) > 1:
            at = int(rng.integers(1, len(piece)))
            piece = np.delete(piece, at) if rng.random() < 0.5 else np.insert(piece, at, piece[at])
        pieces.append(piece)
    return np.concatenate(pieces)


def lossy(audio: Floats, share: float, rng: np.random.Generator, *, repeat: bool = False) -> Floats:
    """20 ms packets lost: silence in their place, or the packet before again."""
    out = audio.copy()
    for begin in range(_FRAME, len(out) - _FRAME, _FRAME):
        if rng.random() < share:
            out[begin : begin + _FRAME] = out[begin - _FRAME : begin] if repeat else 0
    return out


# cuts


def middle(audio: Floats, seconds: float) -> Floats:
    """A piece from the middle, or all of it."""
    length = min(int(seconds * RATE), len(audio))
    begin = (len(audio) - length) // 2
    return audio[begin : begin + length]


def shuffled(audio: Floats, seconds: float, rng: np.random.Generator) -> Floats:
    """Pieces of a length in another order."""
    pieces = [audio[begin : begin + int(seconds * RATE)] for begin in range(0, len(audio), int(seconds * RATE))]
    return np.concatenate([pieces[k] for k in rng.permutation(len(pieces))])


def within(audio: Floats, other: Floats, seconds: float, begin: float) -> Floats:
    """In place of what `other` has from `begin` seconds on; `seconds` long in all, at the same active level."""
    out = np.resize(other, int(seconds * RATE)) * np.float32(active_level(audio) / active_level(other))
    at = int(begin * RATE)
    out[at : at + len(audio)] = audio
    return out


# what is added


def active_level(audio: Floats) -> float:
    """Rms of the 20 ms frames within 30 dB of the loudest: the level of speech without its pauses."""
    frames = audio[: len(audio) // _FRAME * _FRAME].reshape(-1, _FRAME)
    powers = np.mean(frames.astype(np.float64) ** 2, axis=1)
    return float(np.sqrt(np.mean(powers[powers >= powers.max() / 1000]))) + 1e-9


def added(audio: Floats, other: Floats, snr_db: float) -> Floats:
    """With another sound `snr_db` below the speech, by active levels; made softer where the sum would clip."""
    other = np.resize(other, len(audio))
    gain = active_level(audio) / active_level(other) / 10 ** (snr_db / 20)
    mixed = audio + np.float32(gain) * other
    return np.asarray(mixed / max(_peak(mixed), 1.0), np.float32)


def coloured(length: int, rng: np.random.Generator, exponent: float) -> Floats:
    """Noise of power 1 / f^exponent: 0 is white, 1 pink."""
    spectrum = np.fft.rfft(rng.normal(size=length))
    shape = np.maximum(np.arange(len(spectrum)), 1.0) ** (-exponent / 2)
    noise = np.fft.irfft(spectrum * shape, length)
    return np.asarray(noise / np.std(noise), np.float32)


# rooms and other ways through air


def room(audio: Floats, response: Floats) -> Floats:
    """In a room, microphone at a distance."""
    return levelled(fftconvolve(audio, response)[: len(audio)])


def decay(rt60: float, rng: np.random.Generator, direct: float = 1.0) -> Floats:
    """A synthetic room: noise that falls by 60 dB in `rt60` seconds after a direct sound.

    `direct` is the energy of the direct sound as a share of that of the reverberation; 1 is a metre or two away.
    """
    tail = rng.normal(size=int(rt60 * RATE)) * 10 ** (-3 * np.arange(int(rt60 * RATE)) / (rt60 * RATE))
    tail /= np.sqrt(np.sum(tail**2))
    return np.concatenate([[np.sqrt(direct)], np.zeros(RATE // 200), tail]).astype(np.float32)


def replayed(audio: Floats, response: Floats, noise: Floats) -> Floats:
    """From a loudspeaker into a telephone that lies on the table: band, room, noise, level control, clock, MP3."""
    heard = added(room(passed(audio, 150, 7000, 2), response), noise, 25)
    heard = filtered(heard, ("acompressor", "threshold=0.03:ratio=4:attack=5:release=100"))
    return mp3(speed(heard, 1.0003), 96)


def resynthesised(audio: Floats, bands: int = 80, rounds: int = 32) -> Floats:
    """From a mel spectrogram alone, phases by Griffin and Lim (1984): what a neural vocoder is given to work with."""
    window, hop = 1024, 256
    shape = np.hanning(window).astype(np.float32)
    magnitude = np.abs(_stft(audio, shape, hop))
    mel = _mel(bands, window // 2 + 1)
    power = np.maximum(np.linalg.pinv(mel) @ (mel @ (magnitude.T**2)), 1e-10).T
    magnitude = np.sqrt(power)
    phase = np.exp(2j * np.pi * np.random.default_rng(0).random(magnitude.shape))
    for _ in range(rounds):
        phase = np.exp(1j * np.angle(_stft(_istft(magnitude * phase, shape, hop, len(audio)), shape, hop)))
    return levelled(_istft(magnitude * phase, shape, hop, len(audio)))


def _stft(audio: Floats, shape: Floats, hop: int) -> NDArray[np.complex128]:
    padded = np.pad(audio, (len(shape), 2 * len(shape)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, len(shape))[::hop]
    return np.asarray(np.fft.rfft(frames * shape), np.complex128)


def _istft(spectra: NDArray[np.complex128], shape: Floats, hop: int, length: int) -> Floats:
    frames = np.fft.irfft(spectra) * shape
    out = np.zeros(len(frames) * hop + len(shape))
    norm = np.full(len(out), 1e-9)
    for k, frame in enumerate(frames):
        out[k * hop : k * hop + len(shape)] += frame
        norm[k * hop : k * hop + len(shape)] += shape**2
    return np.asarray((out / norm)[len(shape) : len(shape) + length], np.float32)


def _mel(bands: int, bins: int) -> NDArray[np.float64]:
    """Triangles on the mel scale, (bands, bins)."""
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, bands + 2) / 2595) - 1)
    hertz = np.linspace(0, RATE / 2, bins)
    rising = (hertz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - hertz) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(np.minimum(rising, falling), 0)


def levelled(audio: NDArray[np.floating]) -> Floats:
    """With its peak at 0.7."""
    return np.asarray(audio / _peak(audio) * 0.7, np.float32)


def _peak(audio: NDArray[np.floating]) -> float:
    return float(np.max(np.abs(audio), initial=0)) or 1.0
