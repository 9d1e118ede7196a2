"""Our films in a real browser: played to the end, every frame of them, in the right colours."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .film_tries import film, tone

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--mute-audio",
)
PAGE = """<!doctype html><link rel=icon href=data:,><video id=v playsinline></video><script>
const v = document.getElementById("v"), times = [];
function colours() {
  const c = document.createElement("canvas"); c.width = v.videoWidth; c.height = v.videoHeight;
  const g = c.getContext("2d"); g.drawImage(v, 0, 0); const found = [];
  for (let y = 32; y < c.height; y += 64) for (let x = 32; x < c.width; x += 64)
    found.push(Array.from(g.getImageData(x, y, 1, 1).data.slice(0, 3)));
  return found;
}
const tell = (error) => fetch("/told", {method: "POST", body: JSON.stringify({
  error, times, duration: v.duration, width: v.videoWidth, height: v.videoHeight, ended: v.ended,
  decoded: v.getVideoPlaybackQuality().totalVideoFrames, heard: v.webkitAudioDecodedByteCount,
  colours: error || !v.videoWidth ? [] : colours()})});
const seen = (now, data) => { times.push(data.mediaTime); v.requestVideoFrameCallback(seen); };
v.requestVideoFrameCallback(seen);
v.onended = () => tell(null);
v.onerror = () => tell(v.error.message || String(v.error.code));
v.src = location.search.slice(1); v.playbackRate = 0.5; v.play().catch((e) => tell(String(e)));
</script>"""
KINDS = {".mp4": "video/mp4", ".webm": "video/webm"}

pytestmark = pytest.mark.skipif(not BROWSER, reason="no Chromium here")


class Player:
    """A browser, and a small server that it fetches films from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._told: dict[str, Any] = {}
        self._came = threading.Event()
        player = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *words: object) -> None:
                pass

            def do_GET(self) -> None:
                name = self.path.partition("?")[0].strip("/")
                kind = KINDS.get(Path(name).suffix, "text/html")
                data = (player.folder / name).read_bytes() if name else PAGE.encode()
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_POST(self) -> None:
                player._told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(204)
                self.end_headers()
                player._came.set()

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self._thread.start()

    def play(self, name: str) -> dict[str, Any]:
        """Play a film and return what the page tells of it."""
        self._came.clear()
        address = f"http://127.0.0.1:{self.server.server_address[1]}/?{name}"
        profile = self.folder / f"profile-{name}"
        browser = subprocess.Popen(
            [BROWSER, *FLAGS, f"--user-data-dir={profile}", address],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            for _ in range(240):
                if self._came.wait(0.5):
                    return self._told
                if browser.poll() is not None:
                    pytest.skip(f"{BROWSER} does not run here (exit code {browser.returncode})")
            pytest.fail(f"{name} was not played within two minutes")
        finally:
            browser.terminate()
            browser.wait(20)

    def close(self) -> None:
        """End the server."""
        self.server.shutdown()
        self.server.server_close()
        self._thread.join(10)


@pytest.fixture(scope="module")
def player(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Player]:
    player = Player(tmp_path_factory.mktemp("player"))
    yield player
    player.close()


@pytest.mark.parametrize(
    ("name", "codec", "most"),
    [("a.mp4", "h264", 4), ("av1.mp4", "av1", 6), ("a.webm", "vp9", 4), ("av1.webm", "av1", 6)],
)
def test_a_browser_plays_it_to_the_end(player: Player, name: str, codec: str, most: int) -> None:
    colours = np.array(
        [*itertools.product((30, 220), repeat=3), *[[v, v, v] for v in (0, 80, 160, 255)]], np.uint8
    )
    picture = colours.reshape(3, 4, 3).repeat(64, 0).repeat(64, 1)
    film(
        player.folder / name,
        30,
        codec=codec,
        encoder="software",
        frames=iter([picture] * 30),
        width=256,
        height=192,
        sound=tone(60_000),
    )
    told = player.play(name)
    assert told["error"] is None
    assert told["ended"]
    assert told["duration"] == pytest.approx(1.25, abs=1.1e-3)
    assert (told["width"], told["height"]) == (256, 192)
    assert told["heard"] > 1000
    times = sorted(set(told["times"]))
    assert told["decoded"] == 30
    assert len(times) >= 5  # a busy machine shows fewer than it decodes
    assert all(abs(time * 24 - round(time * 24)) < 0.05 for time in times)
    assert times[-1] <= 29 / 24 + 1e-3
    off = np.abs(np.array(told["colours"]) - colours).max(axis=0)
    assert max(off[:2]) <= most
    assert off[2] <= 14  # in software, browsers multiply blue with too small a number
