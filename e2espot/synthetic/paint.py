"""Paint one picture: background, figures and ball in order of depth, then lens, score bug and grain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from e2espot.synthetic.actions import BALL_M, Play
from e2espot.synthetic.boards import Surroundings, draw_surroundings
from e2espot.synthetic.camera import LIVE, Shots, View
from e2espot.synthetic.colours import Colour
from e2espot.synthetic.figures import FIGURES, LIMBS, Bodies, Cast, bodies, lamp_shadows
from e2espot.synthetic.graphics import Graphics
from e2espot.synthetic.look import Look
from e2espot.synthetic.panorama import Panorama
from e2espot.synthetic.signal import add_grain, televise
from e2espot.synthetic.television import Television
from e2espot.synthetic.tracks import players_track

_MIN_BALL_PX = 2.1


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage:
    """Everything that painting a match needs."""

    play: Play
    """What happens."""
    people: Cast
    """Position and posture of every figure."""
    look: Look
    """Appearance of the match."""
    shots: Shots
    """Camera of every picture."""
    panorama: Panorama
    """Static background."""
    colours: tuple[tuple[Colour, ...], ...]
    """Colour of every limb of every figure."""
    grain: np.ndarray
    """uint8 noise around 128, twice the picture's size."""
    size: tuple[int, int]
    """Width and height of the pictures as painted."""
    video_size: tuple[int, int]
    """Width and height of the video."""
    around: Surroundings | None = None
    """Boards and bystanders of a televised match."""
    graphics: Graphics | None = None
    """What is laid over a televised match."""

    def pictures(self) -> Iterator[np.ndarray]:
        """The pictures of the video in order, uint8 BGR [H, W, 3]."""
        return (paint(self, picture) for picture in range(len(self.play.ball_T3)))

    def ball_track(self) -> tuple[np.ndarray, np.ndarray]:
        """Painted ball centres float32 [T, 2] as shares of the picture (NaN unseen) and visibility bool [T]."""
        frames = len(self.play.ball_T3)
        xy_T2 = np.full((frames, 2), np.nan, dtype=np.float32)
        visible_T = np.zeros(frames, dtype=bool)
        size = np.array(self.size)
        for picture in np.flatnonzero(self.shots.kind_T == LIVE):
            view = self.shots.view(int(picture), self.look, self.size)
            moment = float(self.shots.moment_T[picture])
            at_2 = (ball_pixels(self, moment, view)[0] + 0.5) / size
            if (at_2 >= 0).all() and (at_2 < 1).all():
                xy_T2[picture] = at_2
                visible_T[picture] = not _hidden(self, moment, view, at_2 * size - 0.5)
        return xy_T2, visible_T

    def players_track(self) -> np.ndarray:
        """Middles of the bodies as shares of the picture, float32 [T, 22, 2]; NaN unseen."""
        return players_track(self.play, self.shots, self.look, self.size)


def limb_colours(look: Look) -> tuple[tuple[Colour, ...], ...]:
    """Colours [23][8] in the order of ``figures.LIMBS``."""
    rows = []
    for figure in range(FIGURES):
        kit = 4 if figure == 22 else (2 + figure // 11 if figure % 11 == 0 else figure // 11)
        shirt, shorts, socks = look.kits[kit]
        skin: Colour = tuple(look.skin[figure].tolist())
        part = {"thigh": shorts, "shin": socks, "arm": skin if figure % 3 else shirt, "torso": shirt, "head": skin}
        rows.append(tuple(part[limb] for limb in LIMBS))
    return tuple(rows)


def television_colours(look: Look, television: Television) -> tuple[tuple[Colour, ...], ...]:
    """Colours [25][10]: both boots, then the limbs in the order of ``figures.LIMBS``."""
    rows = []
    for figure, boots in enumerate(television.boots_N3):
        kit = 4 if figure >= 22 else (2 + figure // 11 if figure % 11 == 0 else figure // 11)
        shirt, shorts, socks = look.kits[kit]
        skin: Colour = tuple(look.skin[figure].tolist())
        arm = skin if figure % 3 else television.sleeves[kit]
        part = {"thigh": shorts, "shin": socks, "arm": arm, "torso": shirt, "head": skin}
        boot: Colour = tuple(boots.tolist())
        rows.append((boot, boot, *(part[limb] for limb in LIMBS)))
    return tuple(rows)


def ball_pixels(stage: Stage, moment: float, view: View) -> tuple[np.ndarray, float, np.ndarray, np.ndarray]:
    """Ball's centre [2], radius, shadow [2] and motion during the exposure [2], all in pixels."""
    ball_T3 = stage.play.ball_T3
    low = int(moment)
    share = moment - low
    last = len(ball_T3) - 1
    at = ball_T3[low] * (1 - share) + ball_T3[min(low + 1, last)] * share
    step = (ball_T3[min(low + 1, last)] - ball_T3[max(low - 1, 0)]) / 2 * stage.look.shutter
    up = np.array([0.0, 0.0, BALL_M / 2])
    ground = np.array([at[0] + stage.look.sun[0] * at[2], at[1] + stage.look.sun[1] * at[2], 0.0])
    pixels, scale = view.project(np.stack([at + up, ground, at + up + step / 2, at + up - step / 2]))
    least = _MIN_BALL_PX if stage.look.television is None else stage.look.television.least_ball_px
    floor = least * view.size[1] / 224
    radius = max(BALL_M * stage.look.ball_scale * float(scale[0]), floor) / 2
    return pixels[0], radius, pixels[1], pixels[2] - pixels[3]


def disc(
    frame: np.ndarray, centre_2: np.ndarray, radius: float, streak_2: np.ndarray, colour: Colour, opacity: float
) -> None:
    """Blend an anti-aliased disc, smeared along ``streak_2``, into ``frame`` in place."""
    reach_2 = np.abs(streak_2) / 2 + radius + 1.5
    x0, y0 = (int(np.floor(v)) for v in centre_2 - reach_2)
    x1, y1 = (int(np.ceil(v)) + 1 for v in centre_2 + reach_2)
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, frame.shape[1]), min(y1, frame.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    dx = np.arange(x0, x1)[None, :] - centre_2[0]
    dy = np.arange(y0, y1)[:, None] - centre_2[1]
    length = float(np.hypot(*streak_2))
    along = 0.0
    if length > 1e-6:
        along = np.clip((dx * streak_2[0] + dy * streak_2[1]) / length, -length / 2, length / 2) / length
    gap = np.hypot(dx - along * streak_2[0], dy - along * streak_2[1])
    # A smeared ball covers each pixel for a part of the exposure only.
    share = opacity * 2 * radius / (2 * radius + 0.75 * length)
    alpha = np.clip(radius + 0.5 - gap, 0, 1)[..., None] * share
    patch = frame[y0:y1, x0:x1]
    patch[:] = np.round(patch + (np.array(colour) - patch) * alpha).astype(np.uint8)


def paint(stage: Stage, picture: int, *, with_ball: bool = True) -> np.ndarray:
    """Picture number ``picture`` of the video, uint8 BGR [H, W, 3]."""
    view = stage.shots.view(picture, stage.look, stage.size)
    moment = float(stage.shots.moment_T[picture])
    frame = stage.panorama.seen_from(view)
    crew = bodies(stage.people, moment, view, stage.look)
    if stage.around is not None:
        draw_surroundings(frame, view, stage.around, moment / 25)
    if stage.look.television is not None and stage.look.television.lamps > 1:
        _lamp_shadows(stage, frame, moment, view, crew)
    dark = [shade * (1 - stage.look.shadow) for shade in stage.look.grass[0]]
    for figure in np.flatnonzero(crew.seen_N):
        cv2.fillConvexPoly(frame, crew.shadow_NV2[figure], dark, cv2.LINE_AA, 4)
    at_2, radius, shadow_2, streak_2 = ball_pixels(stage, moment, view)
    low = int(moment)
    ball_depth = float((np.array([*stage.play.ball_T3[low, :2], 0.0]) - view.centre_3) @ view.axes_33[2])
    if with_ball:
        disc(frame, shadow_2, radius, streak_2, (20.0, 30.0, 20.0), stage.look.shadow)
    pending = with_ball
    for figure in np.argsort(-crew.depth_N):
        if pending and crew.depth_N[figure] < ball_depth:
            _ball(stage, frame, at_2, radius, streak_2)
            pending = False
        if crew.seen_N[figure]:
            _figure(stage, frame, crew, int(figure))
    if pending:
        _ball(stage, frame, at_2, radius, streak_2)
    return _finish(stage, frame, picture)


def _ball(stage: Stage, frame: np.ndarray, at_2: np.ndarray, radius: float, streak_2: np.ndarray) -> None:
    """The ball; a televised one is darker below, or has panels of a second colour."""
    television = stage.look.television
    if television is None:
        disc(frame, at_2, radius, streak_2, stage.look.ball, 1.0)
        return
    disc(frame, at_2, radius, streak_2, television.ball_dark, 1.0)
    lit = np.array([0.0, -0.3 * radius])
    disc(frame, at_2 + lit, radius * 0.8, streak_2, stage.look.ball, 1.0)


def _figure(stage: Stage, frame: np.ndarray, crew: Bodies, figure: int) -> None:
    """Limbs of one figure; stripes, number and hair of a televised one."""
    for quad, colour in zip(crew.limbs_NLV2[figure], stage.colours[figure], strict=True):
        cv2.fillConvexPoly(frame, quad, colour, cv2.LINE_AA, 4)
    television = stage.look.television
    if television is None or crew.patches_NPV2 is None:
        return
    for patch, shares, shade in zip(
        crew.patches_NPV2[figure], television.patches_N[figure], television.patch_colours_N[figure], strict=True
    ):
        if shares[1] > 0:
            cv2.fillConvexPoly(frame, patch, shade.tolist(), cv2.LINE_AA, 4)


def _lamp_shadows(stage: Stage, frame: np.ndarray, moment: float, view: View, crew: Bodies) -> None:
    """The weaker shadows of the other floodlights."""
    faint = [shade * (1 - 0.4 * stage.look.shadow) for shade in stage.look.grass[0]]
    for outline_NV2 in lamp_shadows(stage.people, moment, view, stage.look):
        for figure in np.flatnonzero(crew.seen_N):
            cv2.fillConvexPoly(frame, outline_NV2[figure], faint, cv2.LINE_AA, 4)


def _finish(stage: Stage, frame: np.ndarray, picture: int) -> np.ndarray:
    """Lens, score bug and sensor noise."""
    look, live = stage.look, bool(stage.shots.kind_T[picture] == LIVE)
    if look.television is not None and stage.graphics is not None:
        frame = televise(frame, picture, look, stage.graphics, stage.video_size, live=live)
    else:
        unit = stage.size[1] / 224
        if look.blur:
            frame = np.asarray(cv2.GaussianBlur(frame, (0, 0), look.blur * unit))
        if live:
            _score_bug(frame, look, picture // 25, unit)
    return add_grain(frame, stage.grain, picture)


def _score_bug(frame: np.ndarray, look: Look, second: int, unit: float) -> None:
    """A strip with both names and the running clock."""
    x, y, wide, high = (int(v * unit) for v in (14, 10, 108, 11))
    cv2.rectangle(frame, (x, y), (x + wide, y + high), (60, 45, 40), -1)
    text = f"{look.names[0]} 0-0 {look.names[1]}  {second // 60:02d}:{second % 60:02d}"
    origin = (x + int(3 * unit), y + int(8 * unit))
    cv2.putText(frame, text, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.27 * unit, (235, 235, 235), 1, cv2.LINE_AA)


def _hidden(stage: Stage, moment: float, view: View, at_2: np.ndarray) -> bool:
    """Whether a limb of a figure nearer to the camera covers the ball's centre ``at_2`` [2], pixels."""
    crew = bodies(stage.people, moment, view, stage.look)
    ball_depth = float((np.array([*stage.play.ball_T3[int(moment), :2], 0.0]) - view.centre_3) @ view.axes_33[2])
    point = (float(at_2[0]) * 16, float(at_2[1]) * 16)
    return any(
        cv2.pointPolygonTest(quad, point, False) >= 0
        for figure in np.flatnonzero(crew.seen_N & (crew.depth_N < ball_depth) & (crew.depth_N > ball_depth - 8))
        for quad in crew.limbs_NLV2[figure]
    )
