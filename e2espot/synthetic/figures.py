"""Twenty-two players and a referee as small jointed figures: positions in, polygons out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from e2espot.synthetic.actions import Play
from e2espot.synthetic.camera import View, smooth
from e2espot.synthetic.look import Look

FIGURES = 23
"""Players 0-21 and the referee."""
_SWING = np.array([0.0, -0.35, -0.75, -1.0, -0.85, -0.4, 0.35, 0.85, 1.0, 0.75, 0.4, 0.15])
"""Angle of the kicking leg in radians by ``Play.swing_TP``; entry 7, one after the strike, is past the ball."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Cast:
    """Position and posture of every figure; T frames of play, N = 23."""

    ground_TN2: np.ndarray
    """Metres on the ground."""
    facing_TN2: np.ndarray
    """Unit vectors."""
    speed_TN: np.ndarray
    """m/s."""
    gait_TN: np.ndarray
    """Radians; a stride of both legs is a full turn."""
    swing_TN: np.ndarray
    """0 none, else 1 + frame of a kick's swing."""


def cast(play: Play, *, assistants: bool = False) -> Cast:
    """Postures for ``play``, with a referee some metres from the ball and, on request, assistants on the lines."""
    frames = len(play.ball_T3)
    referee_T2 = smooth(play.ball_T3[:, :2].astype(float), 45.0, lag=20) * 0.85 + np.array([7.9, 12.0])
    others = [referee_T2, *(_assistants(play) if assistants else ())]
    ground_TN2 = np.concatenate([play.players_TP2, *(other_T2[:, None] for other_T2 in others)], axis=1)
    flat = smooth(ground_TN2.reshape(frames, -1), 2.0)
    velocity_TN2 = np.gradient(flat, axis=0).reshape(ground_TN2.shape) * 25.0
    speed_TN = np.linalg.norm(velocity_TN2, axis=2)
    to_ball_TN2 = play.ball_T3[:, None, :2] - ground_TN2
    to_ball_TN2 /= np.linalg.norm(to_ball_TN2, axis=2, keepdims=True) + 1e-6
    # Runners look where they run, others at the ball.
    facing_TN2 = velocity_TN2 + 0.8 * to_ball_TN2
    facing_TN2 /= np.linalg.norm(facing_TN2, axis=2, keepdims=True) + 1e-6
    stride_TN = 1.1 + 0.33 * speed_TN
    gait_TN = np.cumsum(speed_TN / stride_TN, axis=0) * (2 * np.pi / 25) + np.arange(ground_TN2.shape[1]) * 1.7
    swing_TN = np.pad(play.swing_TP, ((0, 0), (0, len(others))))
    return Cast(ground_TN2=ground_TN2, facing_TN2=facing_TN2, speed_TN=speed_TN, gait_TN=gait_TN, swing_TN=swing_TN)


def _assistants(play: Play) -> tuple[np.ndarray, np.ndarray]:
    """Assistant referees [T, 2] on the near and the far touch line, level with the last defender or the ball."""
    deep_T = np.partition(play.players_TP2[:, :, 0], (1, -2), axis=1)
    at_T2 = np.stack(
        [
            np.minimum(np.minimum(deep_T[:, 1], play.ball_T3[:, 0]), 52.5),
            np.maximum(np.maximum(deep_T[:, -2], play.ball_T3[:, 0]), 52.5),
        ],
        axis=1,
    )
    near_T, far_T = smooth(np.clip(at_T2, 0, 105).astype(float), 12.0, lag=6).T
    return np.stack([near_T, near_T * 0 - 1.2], axis=1), np.stack([far_T, far_T * 0 + 69.2], axis=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Bodies:
    """Polygons of one picture; N in the order of ``Cast``."""

    limbs_NLV2: np.ndarray
    """int32 pixels with 4 fractional bits; L quadrilaterals a figure, V = 4."""
    shadow_NV2: np.ndarray
    """int32 pixels with 4 fractional bits; an outline of V = 6 corners."""
    depth_N: np.ndarray
    """Metres from the camera along its axis; paint large ones first."""
    seen_N: np.ndarray
    """bool: whether any part can be in the picture."""
    patches_NPV2: np.ndarray | None = None
    """int32 pixels with 4 fractional bits: stripes, number and hair of a televised figure; P = 4, V = 4."""


def _joints(people: Cast, moment: int, *, booted: bool) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the limbs in the figure's own frame: [N, L, 2 ends, 3 = ahead, left, up] and widths [N, L]."""
    speed_N, gait_N = people.speed_TN[moment], people.gait_TN[moment]
    reach_N = np.minimum(0.12 + 0.15 * speed_N, 0.85) * (speed_N > 0.25)
    swing_N = _SWING[people.swing_TN[moment]]
    kicking_N = people.swing_TN[moment] > 0
    zero_N = np.zeros(len(speed_N))
    hip_up, ends, boots = 0.88, [], []

    def leg(phase_N: np.ndarray, left: float, kick: bool) -> None:
        thigh_N = reach_N * np.sin(phase_N)
        bend_N = np.minimum(0.25 + 0.16 * speed_N, 1.3) * np.maximum(np.cos(phase_N), 0.0) * (speed_N > 0.25)
        if kick:
            thigh_N = np.where(kicking_N, swing_N, thigh_N)
            bend_N = np.where(kicking_N, np.maximum(-swing_N, 0.0), bend_N)
        knee = np.stack([0.44 * np.sin(thigh_N), zero_N + left, hip_up - 0.44 * np.cos(thigh_N)], axis=1)
        shin_N = thigh_N - bend_N
        foot = knee + np.stack([0.46 * np.sin(shin_N), zero_N, -0.46 * np.cos(shin_N)], axis=1)
        hip = np.stack([zero_N, zero_N + left * 0.8, zero_N + hip_up], axis=1)
        ends.extend([(hip, knee), (knee, foot)])
        heel = foot + np.array([-0.04, 0.0, 0.06])
        boots.append((heel, heel + np.array([0.3, 0.0, -0.02])))

    leg(gait_N, 0.1, kick=False)
    leg(gait_N + np.pi, -0.1, kick=True)
    lean_N = 0.04 * speed_N
    neck = np.stack([lean_N, zero_N, zero_N + 1.5], axis=1)
    for phase_N, left in ((gait_N + np.pi, 0.24), (gait_N, -0.24)):
        shoulder = neck + np.array([0.0, left * 0.85, -0.08])
        hand = np.stack([lean_N * 0.6 + 0.45 * reach_N * np.sin(phase_N), zero_N + left * 1.3, zero_N + 0.95], axis=1)
        ends.append((shoulder, hand))
    ends.append((np.stack([zero_N, zero_N, zero_N + 0.86], axis=1), neck))
    ends.append((neck + np.array([0.0, 0.0, 0.06]), neck + np.array([0.03, 0.0, 0.31])))
    widths_L = np.array([0.21, 0.14, 0.21, 0.14, 0.12, 0.12, 0.44, 0.2])
    if booted:
        ends, widths_L = [*boots, *ends], np.r_[0.12, 0.12, widths_L]
    joints = np.stack([np.stack(pair, axis=1) for pair in ends], axis=1)
    return joints, np.broadcast_to(widths_L, (len(speed_N), len(widths_L))).copy()


LIMBS = ("thigh", "shin", "thigh", "shin", "arm", "arm", "torso", "head")
"""Limb of each quadrilateral of ``Bodies.limbs_NLV2``."""


def bodies(people: Cast, moment: float, view: View, look: Look) -> Bodies:
    """Project every figure at a moment of play."""
    index = int(moment)
    ground_N2, facing_N2 = people.ground_TN2[index], people.facing_TN2[index]
    television = look.television
    joints, widths = _joints(people, index, booted=television is not None)
    count = len(ground_N2)
    left_N2 = np.stack([-facing_N2[:, 1], facing_N2[:, 0]], axis=1)
    # A torso seen from the side is narrower.
    side_N = np.abs(facing_N2 @ view.axes_33[0, :2])
    widths[:, -2] *= 1.0 - 0.38 * side_N
    world = np.empty(joints.shape)
    world[..., :2] = (
        ground_N2[:, None, None]
        + joints[..., :1] * facing_N2[:, None, None]
        + joints[..., 1:2] * left_N2[:, None, None]
    )
    world[..., 2] = joints[..., 2]
    pixels, scale = view.project(world.reshape(-1, 3))
    pixels = pixels.reshape(*joints.shape[:3], 2)
    scale_N = scale.reshape(count, -1)[:, 0]
    way = pixels[:, :, 1] - pixels[:, :, 0]
    way /= np.linalg.norm(way, axis=2, keepdims=True) + 1e-6
    # Anti-aliased filling widens a polygon by about half a pixel on each side; subtract it.
    half = np.maximum(widths * scale_N[:, None] / 2 - 0.35, 0.15)[..., None]
    across = np.stack([-way[..., 1], way[..., 0]], axis=2) * half
    quads = np.stack(
        [pixels[:, :, 0] - across, pixels[:, :, 0] + across, pixels[:, :, 1] + across, pixels[:, :, 1] - across], axis=2
    )
    feet_N2, depth_N, shadow = _shadows(ground_N2, view, look.sun)
    middle_N2 = feet_N2 - np.stack([np.zeros(count), 0.9 * scale_N], axis=1)
    margin_N = 1.2 * scale_N
    width, height = view.size
    seen_N = (depth_N > 2.0) & (middle_N2[:, 0] > -margin_N) & (middle_N2[:, 0] < width + margin_N)
    seen_N &= (middle_N2[:, 1] > -margin_N) & (middle_N2[:, 1] < height + margin_N)
    return Bodies(
        limbs_NLV2=np.round(np.clip(quads, -9000, 9000) * 16).astype(np.int32),
        shadow_NV2=np.round(np.clip(shadow, -9000, 9000) * 16).astype(np.int32),
        depth_N=depth_N,
        seen_N=seen_N,
        patches_NPV2=None if television is None else _patches(quads, television.patches_N),
    )


def _patches(quads_NLV2: np.ndarray, shares_NP4: np.ndarray) -> np.ndarray:
    """Parts of the shirt (the last patch: of the head) as quadrilaterals [N, P, 4, 2] in fractional pixels."""
    count = shares_NP4.shape[1]
    # Corners of a limb: low left, low right, high right, high left.
    limb_NPV2 = np.stack([quads_NLV2[:, -2]] * (count - 1) + [quads_NLV2[:, -1]], axis=1)
    left, right, low, high = np.moveaxis(shares_NP4, 2, 0)
    corners = []
    for across, up in ((left, low), (right, low), (right, high), (left, high)):
        weights = ((1 - across) * (1 - up), across * (1 - up), across * up, (1 - across) * up)
        corners.append(sum(w[..., None] * limb_NPV2[:, :, v] for v, w in enumerate(weights)))
    return np.asarray(np.round(np.clip(np.stack(corners, axis=2), -9000, 9000) * 16).astype(np.int32))


def lamp_shadows(people: Cast, moment: float, view: View, look: Look) -> list[np.ndarray]:
    """Outlines of the shadows that three further lamps cast, int32 [N, 6, 2] each."""
    sun_x, sun_y = look.sun
    turned = ((-sun_x, sun_y), (sun_x, -sun_y), (-sun_x, -sun_y))
    ground_N2 = people.ground_TN2[int(moment)]
    outlines = [_shadows(ground_N2, view, sun)[2] for sun in turned]
    return [np.round(np.clip(outline, -9000, 9000) * 16).astype(np.int32) for outline in outlines]


def _shadows(ground_N2: np.ndarray, view: View, sun: tuple[float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Feet in pixels [N, 2], depth [N], and shadow outlines [N, 6, 2] in pixels."""
    sun_2 = np.array(sun)
    side_2 = np.array([-sun_2[1], sun_2[0]]) / (np.linalg.norm(sun_2) + 1e-6)
    outline = np.stack(
        [
            -side_2 * 0.14,
            side_2 * 0.14,
            sun_2 * 0.9 + side_2 * 0.2,
            sun_2 * 1.6 + side_2 * 0.1,
            sun_2 * 1.6 - side_2 * 0.1,
            sun_2 * 0.9 - side_2 * 0.2,
        ]
    )
    ground = np.zeros((len(ground_N2), 7, 3))
    ground[:, 0, :2] = ground_N2
    ground[:, 1:, :2] = ground_N2[:, None] + outline
    pixels, scale = view.project(ground.reshape(-1, 3))
    pixels, scale = pixels.reshape(-1, 7, 2), scale.reshape(-1, 7)
    depth_N = (np.column_stack([ground_N2, np.zeros(len(ground_N2))]) - view.centre_3) @ view.axes_33[2]
    return pixels[:, 0], depth_N, pixels[:, 1:]
