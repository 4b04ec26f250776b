"""A picture that moves when it is told to: frames with a button, a slider and the arrow keys, in one piece of HTML.

A GIF runs by itself and cannot be stopped where something happens. This can, and needs nothing from outside either: the
frames are in it. `Run.figure` takes it like any other picture.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from io import BytesIO

PAGE = """<div class="player">
<img alt="" style="max-width: 100%">
<p><button type="button">play</button>
<input type="range" min="0" max="{last}" value="0" aria-label="frame" style="width: 60%; vertical-align: middle">
<output></output></p>
<script>
{{
  const box = document.currentScript.parentElement, frames = {frames}, titles = {titles};
  const [picture, button, slider, title] = ["img", "button", "input", "output"].map(tag => box.querySelector(tag));
  let timer = null;
  const show = i => {{
    slider.value = i;
    picture.src = frames[i];
    title.textContent = picture.alt = titles[i];
  }};
  const stop = () => {{ clearInterval(timer); timer = null; button.textContent = "play"; }};
  const next = () => {{ show(Number(slider.value) + 1); if (Number(slider.value) === frames.length - 1) stop(); }};
  slider.oninput = () => {{ stop(); show(Number(slider.value)); }};
  button.onclick = () => {{
    if (timer !== null) return stop();
    if (Number(slider.value) === frames.length - 1) show(0);
    timer = setInterval(next, {milliseconds});
    button.textContent = "stop";
  }};
  show(0);
}}
</script>
</div>
"""


def player(film: bytes, titles: Sequence[str], seconds: float = 0.3) -> str:
    """A GIF's frames as a piece of HTML that shows one at a time, with its title; played, each for `seconds`.

    ValueError for another number of titles than of frames.
    """
    from PIL import Image, ImageSequence  # Pillow comes with matplotlib

    images = []
    for frame in ImageSequence.Iterator(Image.open(BytesIO(film))):
        png = BytesIO()
        frame.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(png, "PNG", optimize=True)
        images.append(f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}")
    if len(titles) != len(images):
        raise ValueError(f"player: expected {len(images)} titles, one for each frame, got {len(titles)}")
    settings = {"frames": json.dumps(images), "titles": json.dumps(list(titles)).replace("<", "\\u003c")}
    return PAGE.format(last=len(images) - 1, milliseconds=int(1000 * seconds), **settings)
