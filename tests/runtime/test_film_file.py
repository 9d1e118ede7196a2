"""Every format, opened again and measured."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from reverie.engines.errors import OutputError, SettingsError
from reverie.runtime.formats import CONTAINERS, encoding_for
from reverie.runtime.reading import film_facts, read_frames

from .film_tries import HEIGHT, WIDTH, film, left_in, moving, tone

FORMATS = [(s, c) for s, kind in CONTAINERS.items() for c in kind.codecs if c != "gif"]
TAGS = {"hevc": "hvc1", "h264": "avc1", "av1": "av01", "prores": "apch"}
needs_ffprobe = pytest.mark.skipif(shutil.which("ffprobe") is None, reason="no ffprobe here")


@pytest.mark.parametrize(("suffix", "codec"), FORMATS)
def test_frames_length_and_colours(tmp_path: Path, suffix: str, codec: str) -> None:
    path = tmp_path / f"a{suffix}"
    count, fps = 37, 24
    written = film(path, count, fps=fps, codec=codec, encoder="software", sound=tone(200_000))
    assert (written.frames, written.codec, written.sound) == (count, codec, True)
    assert written.seconds == count / fps
    assert written.bytes == path.stat().st_size
    facts = film_facts(path)
    assert (facts.frames, facts.fps, facts.codec) == (count, fps, codec)
    assert (facts.width, facts.height) == (WIDTH, HEIGHT)
    assert facts.seconds == pytest.approx(count / fps, abs=1e-9)
    assert facts.sound_seconds <= count / fps + 1e-3  # sound does not lengthen the film
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert container.duration / 1e6 == pytest.approx(count / fps, abs=1.1e-3)
        assert stream.average_rate == fps
        full = codec == "ffv1"
        assert context.color_range == (2 if full else 1)
        assert context.colorspace == (0 if full else 1)
        assert (context.color_primaries, context.color_trc) == (1, 1)
        if suffix in (".mp4", ".mov"):
            assert context.codec_tag == TAGS[codec]
        times = [frame.time for frame in container.decode(stream)]
    step = 1e-3 if suffix in (".mkv", ".webm") else 1e-9  # those count milliseconds
    assert times == pytest.approx([n / fps for n in range(count)], abs=step)


@pytest.mark.parametrize("fps", [25, 30, 60])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_other_rates(tmp_path: Path, suffix: str, fps: int) -> None:
    count = fps + 7
    film(tmp_path / f"a{suffix}", count, fps=fps, encoder="software", sound=tone(count * 2000))
    facts = film_facts(tmp_path / f"a{suffix}")
    assert (facts.frames, facts.fps) == (count, fps)
    assert facts.seconds == pytest.approx(count / fps, abs=1e-9)
    assert facts.sound_seconds <= count / fps + 1e-3
    with av.open(str(tmp_path / f"a{suffix}")) as container:
        assert container.duration / 1e6 == pytest.approx(count / fps, abs=1.1e-3)


@pytest.mark.parametrize(
    ("name", "codec", "most"),
    [
        ("a.mp4", "h264", 2),
        ("a.mp4", "hevc", 2),
        ("a.mp4", "av1", 4),  # it rounds flat colours, at any quality
        ("a.webm", "vp9", 2),
        ("a.mov", "prores", 1),
        ("a.mkv", "ffv1", 0),
        ("a.gif", "gif", 12),  # 255 colours, dithered
        ("frames/", "png", 0),
    ],
)
def test_flat_patches_come_back(tmp_path: Path, name: str, codec: str, most: int) -> None:
    corners = list(itertools.product((0, 255), repeat=3))
    colours = np.array([*corners, *np.random.default_rng(2).integers(0, 256, (16, 3))], np.uint8)
    picture = colours.reshape(4, 6, 3).repeat(64, 0).repeat(64, 1)
    path = f"{tmp_path}/{name}"
    size = {"width": picture.shape[1], "height": picture.shape[0]}
    film(path, 4, codec=codec, encoder="software", frames=iter([picture] * 4), **size)
    for frame in read_frames(path):
        seen = frame[32::64, 32::64].astype(int)
        assert np.abs(seen - picture[32::64, 32::64]).max() <= most


@pytest.mark.parametrize(("codec", "least"), [("h264", 40.7), ("hevc", 43.5)])
def test_colours_lie_where_their_brightness_is(tmp_path: Path, codec: str, least: float) -> None:
    """Chroma half a pixel aside comes back at 39.5 and 41.0 dB."""
    name = "a.mp4"
    film(tmp_path / name, 6, codec=codec, encoder="software", quality="best")
    errors = [
        np.square(seen.astype(float) - meant).mean()
        for seen, meant in zip(read_frames(tmp_path / name), moving(6), strict=True)
    ]
    assert 10 * np.log10(255**2 / np.mean(errors)) > least


@needs_ffprobe
@pytest.mark.parametrize(("suffix", "codec"), FORMATS)
def test_another_reader_sees_the_same(tmp_path: Path, suffix: str, codec: str) -> None:
    path = tmp_path / f"a{suffix}"
    film(path, 30, fps=30, codec=codec, encoder="software", sound=tone(48_000))
    words = ["ffprobe", "-v", "error", "-count_frames", "-show_streams", "-show_format"]
    told = subprocess.run(
        [*words, "-of", "json", os.fspath(path)], capture_output=True, check=True, timeout=60
    )
    facts: dict[str, Any] = json.loads(told.stdout)
    video, sound = sorted(facts["streams"], key=lambda s: s["codec_type"], reverse=True)
    assert video["codec_name"] == codec
    assert (video["nb_read_frames"], video["avg_frame_rate"]) == ("30", "30/1")
    if codec != "ffv1":
        keys = ("color_range", "color_space", "color_transfer", "color_primaries")
        assert [video.get(key) for key in keys] == ["tv", "bt709", "bt709", "bt709"]
    if codec in ("h264", "hevc", "av1", "vp9"):
        assert video["chroma_location"] == "left"
    assert float(facts["format"]["duration"]) == pytest.approx(1.0, abs=1.1e-3)
    assert (sound["sample_rate"], sound["channels"]) == ("48000", 2)
    named = encoding_for(path, codec).sound
    assert named is not None
    assert sound["codec_name"].startswith(named.title)


@pytest.mark.parametrize("samples", [0, 1000, 48_000, 72_000, 90_000])
def test_sound_is_padded_or_cut_to_the_film(tmp_path: Path, samples: int) -> None:
    path = tmp_path / "a.mov"
    film(path, 36, codec="prores", sound=tone(samples))
    heard = _heard(path)
    assert heard.shape == (72_000, 2)
    meant = np.concatenate([np.zeros((0, 2), np.float32), *tone(samples)])[:72_000]
    assert np.abs(heard[: len(meant)] - meant).max(initial=0) < 1e-6
    assert np.abs(heard[len(meant) :]).max(initial=0) == 0


@pytest.mark.parametrize(
    ("name", "least"), [("a.mp4", 72_000), ("a.mkv", 69_900), ("a.webm", 70_700)]
)
def test_lossy_sound_comes_back_in_time(tmp_path: Path, name: str, least: int) -> None:
    film(tmp_path / name, 36, encoder="software", sound=tone(72_000))
    heard = _heard(tmp_path / name)
    assert least <= len(heard) <= 72_000 + 1024
    meant = np.concatenate(list(tone(72_000)))
    middle = slice(10_000, 60_000)
    near = [
        float(np.abs(heard[10_000 + lag : 60_000 + lag] - meant[middle]).mean())
        for lag in range(-50, 51)
    ]
    assert abs(int(np.argmin(near)) - 50) <= 24  # half a millisecond
    assert min(near) < 0.02


def _heard(path: Path) -> Any:
    """The sound of a film as (n, 2), begun where the film begins."""
    parts = []
    with av.open(str(path)) as container:
        resample = av.AudioResampler(format="flt", layout="stereo", rate=48_000)
        for frame in container.decode(audio=0):
            start = round(Fraction(frame.pts) * frame.time_base * 48_000)
            for part in resample.resample(frame):
                samples = part.to_ndarray().reshape(-1, 2)
                parts.append(samples[max(0, -start) :])
    return np.concatenate(parts)


def test_sound_is_drawn_as_the_frames_pass(tmp_path: Path) -> None:
    drawn = [0]

    def sound() -> Any:
        for block in tone(240_000, 480):
            drawn[0] += len(block)
            yield block

    ahead = []
    film(
        tmp_path / "a.mp4",
        48,
        sound=sound(),
        on_frame=lambda done: ahead.append(drawn[0] - done * 2000),
    )
    assert max(ahead) <= 1024 + 480
    assert min(ahead) >= 0
    assert drawn[0] <= 96_000 + 480


def test_sound_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def sound() -> Any:
        yield from tone(20_000)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        film(tmp_path / "a.mp4", 48, sound=sound())
    with pytest.raises(ValueError, match="float32"):
        film(tmp_path / "a.mp4", 48, sound=iter([np.zeros(100, np.float32)]))
    with pytest.raises(SettingsError, match="silent"):
        film(tmp_path / "a.gif", 4, sound=tone(100))
    assert left_in(tmp_path) == []


def test_the_same_film_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, codec in [("a.mp4", "hevc"), ("b.webm", "vp9"), ("c.gif", "gif"), ("d.webm", "av1")]:
        both = []
        for force in (False, True):
            sound = None if codec == "gif" else tone(50_000)
            film(tmp_path / name, 24, codec=codec, encoder="software", force=force, sound=sound)
            both.append((tmp_path / name).read_bytes())
        assert both[0] == both[1]


def test_finish_sees_the_whole_file_before_it_has_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"

    def sign(part: Path, mime: str) -> Path | None:
        assert not path.exists()
        assert film_facts(part).frames == 24
        assert mime == "video/mp4"
        signed = part.with_name("signed")
        signed.write_bytes(part.read_bytes() + b"\0\0\0\x0cfree\0\0\0\0")
        return signed

    written = film(path, finish=sign)
    assert path.read_bytes().endswith(b"free\0\0\0\0")
    assert written.bytes == path.stat().st_size
    assert left_in(tmp_path) == ["a.mp4"]


@pytest.mark.parametrize("damage", ["cut", "raise", "missing"])
def test_a_finish_that_goes_wrong_leaves_nothing(tmp_path: Path, damage: str) -> None:
    def spoil(part: Path, mime: str) -> Path | None:
        if damage == "raise":
            raise KeyboardInterrupt
        if damage == "missing":
            return part.with_name("nothing")
        part.write_bytes(part.read_bytes()[:2000])
        return None

    wanted = KeyboardInterrupt if damage == "raise" else OutputError
    with pytest.raises(wanted):
        film(tmp_path / "a.mp4", finish=spoil)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("name", ["a.mp4", "a.webm"])
def test_quality_costs_bytes(tmp_path: Path, name: str) -> None:
    small, good, best = (
        film(tmp_path / name, 12, encoder="software", quality=quality, force=True).bytes
        for quality in ("small", "good", "best")
    )
    assert small < good < best


_FULL = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from reverie.engines.errors import OutputError
from reverie.runtime.clip import write_clip

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, resource.RLIM_INFINITY))
rng = np.random.default_rng(0)
for name in ("a.mp4", "a.webm", "a.gif", "frames/"):
    noise = (rng.integers(0, 256, (240, 320, 3), dtype=np.uint8) for _ in range(30))
    try:
        path = f"{sys.argv[1]}/{name}"
        write_clip(noise, path, fps=24, width=320, height=240, frame_count=30)
    except OutputError as error:
        print(error)
"""


@pytest.mark.skipif(os.name == "nt", reason="limits are a matter of POSIX")
def test_a_disk_that_really_refuses_in_the_middle(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FULL, str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 4
    assert all("grew beyond the largest file" in line for line in lines)
    assert left_in(tmp_path) == []
