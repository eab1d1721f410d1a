"""Files from strangers: what is read, what is refused, and that nothing else is touched."""

from __future__ import annotations

import os
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from tests.audio.conftest import Write
from workers.audio.decode import AudioRejected, Limits, decode

TONE = 0.3 * np.sin(2 * np.pi * 440 * np.arange(2 * 48_000) / 48_000)[None].astype(np.float32)


def code_of(path: Path, limits: Limits | None = None) -> str:
    with pytest.raises(AudioRejected) as caught:
        decode(path, limits)
    assert caught.value.message[0].isupper()
    assert caught.value.message.endswith(".")
    return caught.value.code


@pytest.mark.parametrize(
    ("name", "codec", "container"),
    [
        ("a.wav", "pcm_s16le", "wav"),
        ("a.wav", "pcm_s24le", "wav"),
        ("a.wav", "pcm_f32le", "wav"),
        ("a.wav", "pcm_u8", "wav"),
        ("a.wav", "pcm_mulaw", "wav"),
        ("a.flac", "flac", "flac"),
        ("a.mp3", "libmp3lame", "mp3"),
        ("a.m4a", "aac", "m4a"),
        ("a.aac", "aac", "aac"),
        ("a.ogg", "libopus", "ogg"),
        ("a.ogg", "vorbis", "ogg"),
        ("a.webm", "libopus", "webm"),
    ],
)
def test_reads_the_formats_that_people_have(write: Write, name: str, codec: str, container: str) -> None:
    layout, samples = ("stereo", np.repeat(TONE, 2, 0)) if codec == "vorbis" else ("mono", TONE)
    decoded = decode(write(name, codec, samples, layout=layout))
    assert decoded.sample_rate == 48_000
    assert decoded.source.container == container
    assert decoded.source.seconds == pytest.approx(2, abs=0.06)
    assert decoded.pcm.dtype == np.float32
    middle = decoded.pcm[24_000:72_000]
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.06)
    assert np.abs(np.fft.rfft(middle)).argmax() == 440


def test_an_open_file_is_read_from_its_start(write: Write) -> None:
    path = write("a.wav", "pcm_s16le", TONE)
    with path.open("rb") as file:
        file.read(1000)
        np.testing.assert_array_equal(decode(file).pcm, decode(path).pcm)


def test_many_channels_at_a_high_rate_become_mono_at_48_khz(write: Write) -> None:
    eight = np.zeros((8, 192_000), np.float32)
    eight[3] = 0.8 * np.sin(2 * np.pi * 1000 * np.arange(192_000) / 192_000)
    for name, codec in (("a.wav", "pcm_s16le"), ("a.flac", "flac")):
        decoded = decode(write(name, codec, eight, rate=192_000, layout="7.1"))
        assert (decoded.sample_rate, decoded.source.channels, decoded.source.sample_rate) == (48_000, 8, 192_000)
        assert len(decoded.pcm) == 48_000
        assert np.abs(decoded.pcm[5000:-5000]).max() == pytest.approx(0.1, rel=0.01)


def test_refuses_what_is_no_audio(tmp_path: Path) -> None:
    sound = tmp_path / "real.mp3"
    for name, content in {
        "text.wav": b"This is a text.\n" * 500,
        "random.mp3": np.random.default_rng(1).bytes(200_000),
        "list.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{sound}\n#EXT-X-ENDLIST\n".encode(),
        "list.wav": f"ffconcat version 1.0\nfile '{sound}'\n".encode(),
        "picture.wav": b"\x89PNG\r\n\x1a\n" + bytes(5000),
        "header.wav": b"RIFF\xff\xff\xff\xffWAVEfmt ",
    }.items():
        (tmp_path / name).write_bytes(content)
        assert code_of(tmp_path / name) in {"audio.not_audio", "audio.empty"}, name


def test_refuses_video_without_sound(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    assert code_of(path) == "audio.not_audio"


def test_refuses_nothing_and_next_to_nothing(tmp_path: Path, write: Write) -> None:
    (tmp_path / "zero.wav").write_bytes(b"")
    assert code_of(tmp_path / "zero.wav") == "audio.empty"
    assert code_of(write("short.wav", "pcm_s16le", TONE[:, :1000])) == "audio.empty"


def test_counts_time_in_samples_not_in_headers(tmp_path: Path, write: Write) -> None:
    path = write("a.wav", "pcm_s16le", TONE)
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    for claimed in (0xFFFFFF00, 40_000):  # half a day, and less than there is
        data[at : at + 4] = claimed.to_bytes(4, "little")
        path.write_bytes(data)
        limits = Limits(max_seconds=3)
        assert decode(path, limits).source.seconds <= 2.001
    assert code_of(write("b.wav", "pcm_s16le", TONE), Limits(max_seconds=1.5)) == "audio.too_long"


def test_four_hours_of_compressed_silence_stop_at_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    quiet = np.zeros((1, 65_535), np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=8000, layout="mono", options={"frame_size": "65535"})
        stream.format = "s16"
        for start in range(0, 4 * 3600 * 8000, 65_535):
            frame = av.AudioFrame.from_ndarray(quiet, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 8000, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert path.stat().st_size < 3_000_000
    assert code_of(path) == "audio.too_long"


@pytest.mark.parametrize(("name", "codec"), [("a.mp3", "libmp3lame"), ("a.flac", "flac"), ("a.wav", "pcm_s16le")])
def test_takes_the_part_that_is_there_of_a_file_cut_off(write: Write, name: str, codec: str) -> None:
    path = write(name, codec, TONE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    assert 0.8 < decode(path).source.seconds < 1.4


def test_refuses_a_file_that_is_mostly_damaged(write: Write) -> None:
    path = write("a.m4a", "aac", TONE)
    data = bytearray(path.read_bytes())
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    data[start:end] = np.random.default_rng(2).bytes(end - start)
    path.write_bytes(data)
    assert code_of(path) == "audio.damaged"


def test_samples_that_are_no_number_become_silence(write: Write) -> None:
    samples = TONE.copy()
    samples[0, ::7] = np.nan
    samples[0, 1::7] = np.inf
    samples[0, 2::7] = -1e30
    pcm = decode(write("a.wav", "pcm_f32le", samples)).pcm
    assert np.isfinite(pcm).all()
    assert np.abs(pcm).max() <= 1
    assert not pcm[::7].any()


def test_limits_of_size_channels_and_rate(tmp_path: Path, write: Write) -> None:
    path = write("a.wav", "pcm_s16le", np.repeat(TONE, 2, 0), layout="stereo")
    assert code_of(path, Limits(max_bytes=1000)) == "audio.too_large"
    assert code_of(path, Limits(max_channels=1)) == "audio.too_many_channels"
    assert code_of(path, Limits(max_sample_rate=44_100)) == "audio.sample_rate"
    with wave.open(str(tmp_path / "slow.wav"), "wb") as slow:
        slow.setparams((1, 2, 10, 0, "NONE", ""))
        slow.writeframes(bytes(1000))
    assert code_of(tmp_path / "slow.wav") in {"audio.sample_rate", "audio.not_audio"}


def test_gives_up_when_the_time_is_over(write: Write) -> None:
    assert code_of(write("a.wav", "pcm_s16le", TONE), Limits(max_wall_seconds=0.01)) == "audio.too_complex"


@pytest.fixture
def spy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose modules the child imports before the real ones."""
    folder = tmp_path / "spy"
    folder.mkdir()
    monkeypatch.setattr("workers.confined._PACKAGES", f"{folder}{os.pathsep}{Path.cwd()}")
    return folder


def test_the_child_gets_no_secret(write: Write, monkeypatch: pytest.MonkeyPatch, spy: Path) -> None:
    seen = spy / "seen"
    monkeypatch.setenv("VOUCH_SECRET", "hush")
    (spy / "soxr.py").write_text(
        f"import os\nopen({str(seen)!r}, 'w').write(repr(dict(os.environ)))\nResampleStream = None\n"
    )
    decode(write("a.wav", "pcm_s16le", TONE))
    assert "PYTHONPATH" in seen.read_text()
    assert "hush" not in seen.read_text()


@pytest.mark.parametrize("act", ["open('/etc/hosts')", "__import__('socket').socket()", "bytearray(2**30)"])
def test_the_child_can_open_nothing_and_fill_nothing_once_it_reads(write: Write, spy: Path, act: str) -> None:
    (spy / "soxr.py").write_text(
        "import numpy, socket\n"
        "class ResampleStream:\n"
        f"    def __init__(self, *args, **options): {act}\n"
        "    def resample_chunk(self, chunk, last=False): return chunk\n"
    )
    assert code_of(write("a.wav", "pcm_s16le", TONE, rate=96_000)) == "audio.too_complex"
