"""The engine's data with another look: kits, ball, grass, boards, light, and none of its captions."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from e2espot.core.errors import ConfigurationError

if TYPE_CHECKING:
    from e2espot.synthetic.colours import Colour
    from e2espot.synthetic.look import Look

_SHADERS = {
    # Its names above the players near the ball, radar and score would give the game away.
    "overlay.frag": [("stdout = texture(ourTexture, TexCoords);", "discard;")],
    # Light from everywhere without its occlusion, shadows from one sample, no smoothed edges: pictures are scaled down
    # anyway, and take two thirds of the time.
    "ambient.frag": [("void main(void) {", "void main(void) {{ {flat}")],
    "postprocess.frag": [("int SSAO_blurSize = 4", "int SSAO_blurSize = 1")],
    "lighting.frag": [
        ("i < poisson_size; i++", "i < 1; i++"),
        ("(1.0f / poisson_size)", "1.0f"),
        ("float brightness = 2.0f;", "float brightness = {light};"),
    ],
}
"""File -> (text, what takes its place)."""
_FLAT = (
    "if (contextWidth > 0.0) {{ "
    "vec2 at = (gl_FragCoord.xy - vec2(contextX, contextY)) / vec2(contextWidth, contextHeight); "
    "stdout0 = vec4(texture(map_albedo, at).xyz * {ambient:.3f}, 1.0); stdout1 = vec4(0.0, 1.0, 0.0, 0.0); return; }}"
)
"""The whole of the ambient light; the condition always holds, and keeps the names that the engine sets."""
_KITS = Path("databases/default/images_teams/primeradivision")
_TEXTURES = Path("media/textures")
_PLAYERS = Path("media/objects/players/textures")
_GRASS = (40.0, 110.0, 60.0)
"""The engine's own grass."""
_SHIRT = ((0, 0, 1024, 420),)
_SHORTS = ((100, 420, 920, 580),)
_SOCKS = ((0, 584, 560, 772),)
"""Where the parts are on a kit of 1024x1024 pixels: left, top, right, bottom."""


def write_scenery(folder: Path, engine_data: Path, look: Look, rng: np.random.Generator) -> None:
    """Write the engine's data with the look of a televised match.

    Args:
        folder: Written; files that do not change are links into ``engine_data``.
        engine_data: The data that came with the engine.
        look: Kits, ball and grass.
        rng: For what the look does not say.

    Raises:
        ConfigurationError: the data is not that of version 2.10.
    """
    shutil.copytree(engine_data, folder, copy_function=os.symlink)
    television = look.television
    assert television is not None, "engine matches have the look of television"
    day = {"light": f"{rng.uniform(2.4, 4.2):.3f}", "flat": _FLAT.format(ambient=rng.uniform(0.1, 0.3))}
    for name, changes in _SHADERS.items():
        path = folder / "media/shaders" / name
        text = path.read_text()
        for old, new in changes:
            if old not in text:
                raise ConfigurationError(
                    f"{path}: not the shader of Google Research Football 2.10.2; install that version"
                )
            text = text.replace(old, new.format(**day) if "{" in new else new)
        _replace(path, text.encode())
    _write_clothes(folder, look, rng)
    _write_ball(folder / "media/objects/balls/ball.bmp", look)
    for path in sorted((folder / _TEXTURES / "pitch").glob("*.bmp")):
        if not any(word in path.name for word in ("specular", "normal", "overlay")):
            _tint(path, _tone(look.grass[0]) / _tone(_GRASS))
    for path in sorted((folder / _TEXTURES / "adboards").glob("*.bmp")):
        _tint(path, rng.uniform(0.1, 1.6, 3))
    _tint(folder / _TEXTURES / "stadium/crowd01.bmp", np.array(television.crowd) / 240.0)


def _tone(colour: Colour) -> np.ndarray:
    """Blue, green and red as shares of their sum: how bright grass is, the light decides."""
    return np.array(colour) / sum(colour)


def _replace(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def _write_bmp(path: Path, picture: np.ndarray) -> None:
    import cv2

    _replace(path, cv2.imencode(".bmp", picture)[1].tobytes())


def _read_bmp(path: Path) -> np.ndarray:
    import cv2

    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise ConfigurationError(f"{path}: unreadable; install Google Research Football 2.10.2 again")
    return np.asarray(picture)


def _tint(path: Path, factors_3: np.ndarray) -> None:
    """Multiply blue, green and red of a picture."""
    picture = _read_bmp(path)
    picture[..., :3] = np.clip(picture[..., :3] * factors_3, 0, 255)
    _write_bmp(path, picture)


def _write_clothes(folder: Path, look: Look, rng: np.random.Generator) -> None:
    """Kits of the teams, keepers and the referee, as the look of a televised match has them."""
    television = look.television
    assert television is not None, "engine matches have the look of television"
    for team, name in enumerate(("fcbarcelona", "realmadrid")):
        second = tuple(television.patch_colours_N[11 * team + 1, 0].tolist())
        shares = television.patches_N[11 * team + 1, :2]
        kit = _kit(look.kits[team], television.sleeves[team], shares, second)
        for path in (folder / _KITS).glob(f"{name}_kit_0*.bmp"):
            _write_bmp(path, kit)
    none = np.zeros((0, 4))
    _write_bmp(folder / _PLAYERS / "goalie_kit.bmp", _kit(look.kits[2], television.sleeves[2], none, (0.0, 0.0, 0.0)))
    _write_bmp(folder / _PLAYERS / "referee_kit.bmp", _kit(look.kits[4], television.sleeves[4], none, (0.0, 0.0, 0.0)))
    _write_bmp(
        folder / _PLAYERS / "shoe.bmp", np.full((16, 16, 3), television.boots_N3[int(rng.integers(22))], np.uint8)
    )


def _kit(clothes: tuple[Colour, Colour, Colour], sleeve: Colour, patches_P4: np.ndarray, second: Colour) -> np.ndarray:
    """A kit's texture, uint8 BGRA [1024, 1024, 4]: shirt and shorts from the front and the back, then socks."""
    shirt, shorts, socks = clothes
    kit = np.zeros((1024, 1024, 4), np.uint8)
    kit[..., 3] = 255
    for boxes, colour in ((_SHIRT, shirt), (_SHORTS, shorts), (_SOCKS, socks)):
        for left, top, right, bottom in boxes:
            kit[top:bottom, left:right, :3] = colour
    for side in (0, 512):
        # The body of the shirt is between the sleeves.
        for edge in (0, 404):
            kit[:150, side + edge : side + edge + 108, :3] = sleeve
        for left, right, bottom, top in patches_P4:
            columns = slice(side + 108 + int(296 * left), side + 108 + int(296 * right))
            kit[int(420 * (1 - top)) : int(420 * (1 - bottom)), columns, :3] = second
    return kit


def _write_ball(path: Path, look: Look) -> None:
    """A ball of one colour with panels of another."""
    television = look.television
    assert television is not None
    ball = np.full((256, 256, 3), look.ball, np.uint8)
    ball[100:156, ::2] = television.ball_dark
    ball[::64, :] = television.ball_dark
    _write_bmp(path, ball)
