"""Simulation of possession play at 25 Hz, with the exact frames of PASS and DRIVE.

One loop advances a small state machine frame by frame:

    Flight -- reaches a player --> Carry -- kick --> Flight
    Flight -- runs out of play --> Dead -- restart --> Flight

The players are numpy rows moved by ``formation``. All randomness comes from the given
generator, so a seed determines the match.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from e2espot.synthetic.actions import Action, Play
from e2espot.synthetic.attacks import header, plan_attack, rebound
from e2espot.synthetic.formation import (
    PITCH_M,
    PLAYERS,
    TICK_S,
    attack_sign,
    home_positions,
    nearest_rank,
    steer,
    targets,
    team_of,
)
from e2espot.synthetic.phases import Carry, Dead, Flight

EVENTS_PER_MINUTE = 12.8
"""Pace of real matches; the length of the pauses keeps it over a game."""
SWING_FRAMES = 11
"""Length of the swing of a kick."""
STRIKE = 6
"""Frame of the swing at which the foot meets the ball."""
_FOOT_M = 0.42


@dataclass(kw_only=True)
class _Match:
    """Mutable state of one simulation."""

    rng: np.random.Generator
    """Source of all randomness."""
    frames: int
    """Length of the match."""
    density: float
    """Multiplies the pace of events."""
    home_P2: np.ndarray
    """Anchors of the players."""
    position_P2: np.ndarray
    """Metres."""
    velocity_P2: np.ndarray
    """Metres per second."""
    wander_P2: np.ndarray
    """Slow movement off the ball that is added to the anchors."""
    rank_P: np.ndarray
    """Rank of every player within its team by distance to the ball."""
    ball_3: np.ndarray
    """Position of the ball."""
    swing_TP: np.ndarray
    """See ``Play.swing_TP``."""
    phase: Carry | Flight | Dead
    """State of the ball."""
    attacks: bool
    """Whether there are shots, crosses and headers."""
    possession: int = 0
    """Team with the ball."""
    now: int = 0
    """The frame being simulated."""
    actions: list[Action] = field(default_factory=list)
    """Actions so far."""

    def log(self, label: str, player: int) -> None:
        """Add a label at the current frame."""
        self.actions.append(Action(frame=self.now, label=label, player=player))

    def swing(self, player: int, strike: int) -> None:
        """Add a kicking swing of ``player`` that strikes at frame ``strike``."""
        for step in range(SWING_FRAMES):
            frame = strike - STRIKE + step
            if 0 <= frame < self.frames:
                self.swing_TP[frame, player] = 1 + step


def simulate(rng: np.random.Generator, *, frames: int, density: float = 1.0, attacks: bool = False) -> Play:
    """Simulate ``frames`` frames of play.

    Args:
        rng: the only source of randomness.
        frames: length at 25 frames per second.
        density: multiplies the pace of events, by shortening and thinning the pauses.
        attacks: whether there are shots, crosses and headers; without them every kick is a pass.
    """
    match = _kick_off(rng, frames, density, attacks=attacks)
    ball_T3 = np.zeros((frames, 3), dtype=np.float32)
    players_TP2 = np.zeros((frames, PLAYERS, 2), dtype=np.float32)
    dead_T = np.zeros(frames, dtype=bool)
    carrier_T = np.full(frames, -1, dtype=np.int16)
    for frame in range(frames):
        match.now = frame
        _move_players(match)
        _advance(match)
        ball_T3[frame], players_TP2[frame] = match.ball_3, match.position_P2
        dead_T[frame] = isinstance(match.phase, Dead)
        if isinstance(match.phase, Carry):
            carrier_T[frame] = match.phase.owner
    return Play(
        ball_T3=ball_T3,
        players_TP2=players_TP2,
        swing_TP=match.swing_TP,
        dead_T=dead_T,
        carrier_T=carrier_T,
        actions=tuple(match.actions),
    )


def _kick_off(rng: np.random.Generator, frames: int, density: float, *, attacks: bool) -> _Match:
    """Initial state: all players at their anchors, a midfielder about to play the first ball."""
    home_P2 = home_positions(rng)
    owner = int(rng.integers(5, 8)) + 11 * int(rng.integers(2))
    start_2 = home_P2[owner] + (_FOOT_M, 0.0)
    ball_3 = np.array([start_2[0], start_2[1], 0.0])
    return _Match(
        rng=rng,
        frames=frames,
        density=density,
        home_P2=home_P2,
        position_P2=home_P2.copy(),
        velocity_P2=np.zeros((PLAYERS, 2)),
        wander_P2=np.zeros((PLAYERS, 2)),
        rank_P=np.zeros(PLAYERS, dtype=int),
        ball_3=ball_3,
        swing_TP=np.zeros((frames, PLAYERS), dtype=np.uint8),
        attacks=attacks,
        phase=Dead(frames=10, spot_2=ball_3[:2], taker=owner, thrown=False, rest_3=ball_3, drift_2=np.zeros(2)),
        possession=team_of(owner),
    )


def _move_players(match: _Match) -> None:
    """Move all players by one frame."""
    phase, rng = match.phase, match.rng
    if match.now % 5 == 0:
        match.rank_P = nearest_rank(match.position_P2, match.ball_3[:2])
        # An Ornstein-Uhlenbeck walk of about 4 m over 4 s: runs off the ball.
        match.wander_P2 += -0.05 * match.wander_P2 + rng.normal(0, 1.25, (PLAYERS, 2))
    dead = isinstance(phase, Dead)
    goal_P2 = targets(
        match.home_P2, match.wander_P2, np.clip(match.ball_3[:2], 0, PITCH_M), match.possession, match.rank_P, not dead
    )
    cap_P = np.full(PLAYERS, 2.0 if dead else 5.8)
    cap_P[match.rank_P == 0] += 1.2
    if isinstance(phase, Dead):
        goal_P2[phase.taker] = phase.spot_2 - _restart_heading(phase) * _FOOT_M
        cap_P[phase.taker] = 4.5
    velocity_P2 = steer(match.position_P2, match.velocity_P2, goal_P2, cap_P)
    if isinstance(phase, Carry):
        carrier = phase.owner
        velocity_P2[carrier] = match.velocity_P2[carrier] + np.clip(
            phase.heading_2 * phase.speed - match.velocity_P2[carrier], -5 * TICK_S, 5 * TICK_S
        )
    elif isinstance(phase, Flight) and phase.receiver >= 0:
        receiver = phase.receiver
        left = max(phase.frames - phase.age, 1)
        way_2 = phase.end_2 - phase.start_3[:2]
        way_2 = way_2 / (np.linalg.norm(way_2) + 1e-6)
        need_2 = (phase.end_2 + way_2 * _FOOT_M - match.position_P2[receiver]) / (left * TICK_S)
        blend = 0.15 if left > 10 else 1.0
        velocity_P2[receiver] = match.velocity_P2[receiver] * (1 - blend) + need_2 * blend
        speed = float(np.linalg.norm(velocity_P2[receiver]))
        velocity_P2[receiver] *= min(1.0, 8.5 / max(speed, 1e-6))
    match.velocity_P2 = velocity_P2
    match.position_P2 = match.position_P2 + velocity_P2 * TICK_S


def _restart_heading(phase: Dead) -> np.ndarray:
    """Unit vector from the restart spot into the pitch."""
    inward_2 = np.array([52.5, 34.0]) - phase.spot_2
    return np.asarray(inward_2 / (np.linalg.norm(inward_2) + 1e-6))


def _advance(match: _Match) -> None:
    """Move the ball by one frame."""
    phase = match.phase
    phase.age += 1
    if isinstance(phase, Flight):
        match.ball_3 = phase.ball()
        if phase.age >= phase.frames:
            _arrive(match, phase)
    elif isinstance(phase, Carry):
        _dribble(match, phase)
        if phase.age >= phase.frames:
            _release(match, phase.owner)
    else:
        _wait(match, phase)


def _dribble(match: _Match, phase: Carry) -> None:
    """Move the ball with the foot of the player who has it."""
    angle = math.atan2(*phase.heading_2[::-1])
    turn = (math.atan2(*phase.wanted_2[::-1]) - angle + math.pi) % (2 * math.pi) - math.pi
    angle += float(np.clip(turn, -5.0 * TICK_S, 5.0 * TICK_S))
    phase.heading_2 = np.array([math.cos(angle), math.sin(angle)])
    at_2 = match.position_P2[phase.owner] + phase.heading_2 * (_FOOT_M + phase.gap())
    fade = 0.72**phase.age
    match.ball_3 = np.array([at_2[0], at_2[1], 0.0]) + phase.residue_3 * fade
    at_x, at_y = match.position_P2[phase.owner]
    if not (4 < at_x < 101 and 3 < at_y < 65):
        inward_2 = np.array([52.5, 34.0]) - match.position_P2[phase.owner]
        phase.wanted_2 = inward_2 / np.linalg.norm(inward_2)
    if phase.age == phase.feint:
        match.swing(phase.owner, match.now + STRIKE)
    # A touch while dribbling swings the leg like a kick, so that a swing alone does not reveal a pass.
    if phase.age + STRIKE in phase.touches[1:-1]:
        match.swing(phase.owner, match.now + STRIKE)


def _arrive(match: _Match, flight: Flight) -> None:
    """The ball reaches a player or runs out of play."""
    rng = match.rng
    if flight.ending == "goal":
        _stop_play(match, flight, middle=True)
        return
    if flight.receiver < 0:
        _stop_play(match, flight)
        return
    if flight.ending == "block":
        match.phase = rebound(rng, flight, match.ball_3, match.position_P2)
        return
    if flight.ending == "header":
        match.log("HEADER", flight.receiver)
        match.possession = team_of(flight.receiver)
        match.phase = header(rng, flight.receiver, match.ball_3, match.position_P2)
        return
    if flight.ending == "save":  # the keeper holds it
        match.possession = team_of(flight.receiver)
        _start_carry(match, flight.receiver)
        return
    match.possession = team_of(flight.receiver)
    last = match.actions[-1].label if match.actions else "PASS"
    if last == "PASS" and rng.random() < 0.225:
        _release(match, flight.receiver)
    else:
        match.log("DRIVE", flight.receiver)
        _start_carry(match, flight.receiver)


def _start_carry(match: _Match, owner: int) -> None:
    """Plan a dribble: its length, pace, direction and touches."""
    rng = match.rng
    seconds = float(np.clip(rng.lognormal(math.log(1.5), 0.74), 0.44, 9.0))
    frames = max(11, round(seconds / TICK_S))
    count = max(1, round(frames / rng.uniform(11, 19)))
    edges = np.round(np.linspace(0, frames, count + 1) + np.r_[0, rng.normal(0, 1.3, max(count - 1, 0)), 0])
    towards_2 = match.ball_3[:2] - match.position_P2[owner]
    heading_2 = towards_2 / (np.linalg.norm(towards_2) + 1e-6)
    angle = rng.normal(0, 0.9)
    wanted_2 = np.array([attack_sign(owner) * math.cos(angle), math.sin(angle)])
    speed = float(np.clip(rng.lognormal(math.log(2.6), 0.5), 1.0, 6.5))
    at_2 = match.position_P2[owner] + heading_2 * _FOOT_M
    match.phase = Carry(
        owner=owner,
        frames=frames,
        heading_2=heading_2,
        wanted_2=wanted_2,
        speed=speed,
        touches=edges,
        gaps_m=rng.uniform(0.08, 0.22, count) * speed,
        residue_3=match.ball_3 - np.array([at_2[0], at_2[1], 0.0]),
        feint=int(rng.integers(2, frames)) if rng.random() < 0.18 and frames > 20 else -1,
    )


def _release(match: _Match, owner: int) -> None:
    """The end of a spell on the ball: pass, lose it, or be fouled."""
    rng = match.rng
    dribbled = isinstance(match.phase, Carry)
    rival = _nearest_rival(match, owner)
    gap_m = float(np.linalg.norm(match.position_P2[rival] - match.ball_3[:2]))
    if dribbled and gap_m < 3.5 and rng.random() < 0.12:
        end_2 = match.ball_3[:2] + rng.normal(0, 1.3, 2)
        if rng.random() < 0.3 / match.density:
            _stop_play(match, None)
        else:
            frames = int(rng.integers(9, 22))
            match.phase = Flight(
                start_3=match.ball_3, end_2=end_2, frames=frames, apex_m=0.05, friction=1.2, receiver=rival
            )
        return
    attack = plan_attack(rng, owner, match.ball_3, match.position_P2) if match.attacks else None
    match.log("PASS" if attack is None else attack.label, owner)
    match.swing(owner, match.now)
    if attack is not None:
        match.phase = attack.flight
        return
    _kick(match, owner, out=rng.random() < 0.12 / math.sqrt(match.density))


def _nearest_rival(match: _Match, owner: int) -> int:
    """Outfield opponent nearest the ball."""
    first = 12 if team_of(owner) == 0 else 1
    gaps = np.linalg.norm(match.position_P2[first : first + 10] - match.ball_3[:2], axis=1)
    return first + int(np.argmin(gaps))


def _kick(match: _Match, owner: int, *, out: bool) -> None:
    """Choose a team mate whose ball takes about as long as real ones do, and send it."""
    rng = match.rng
    from_2 = match.ball_3[:2].copy()
    if out:
        edge_y = -2.5 if from_2[1] < 34 else 70.5
        end_2 = np.array([from_2[0] + attack_sign(owner) * rng.uniform(2, 22), edge_y])
        # With attacks, a kick over the goal line is a shot.
        if not match.attacks and abs(from_2[0] - 52.5) > 32 and rng.random() < 0.6:
            end_2 = np.array([107.5 if from_2[0] > 52.5 else -2.5, from_2[1] + rng.uniform(-15, 15)])
        receiver = -1
    else:
        travel_s = float(np.clip(rng.lognormal(math.log(1.32), 0.42), 0.45, 4.5))
        first = 11 * team_of(owner)
        mates = [mate for mate in range(first, first + 11) if mate != owner]
        meet = match.position_P2[mates] + match.velocity_P2[mates] * travel_s * 0.6
        gap = np.linalg.norm(meet - from_2, axis=1)
        cost = np.abs(gap / _pace(gap) - travel_s) + rng.exponential(0.25, len(mates))
        # With attacks, teams play towards the goal.
        cost -= (0.05 if match.attacks else 0.012) * attack_sign(owner) * (meet[:, 0] - from_2[0])
        cost[0] += 1.0
        best = int(np.argmin(cost))
        receiver = mates[best]
        wobble = rng.normal(0, 0.9, 2) * min(travel_s, 1.5)
        end_2 = np.clip(meet[best] + wobble, (1.5, 1.0), (103.5, 67.0))
    distance = float(np.linalg.norm(end_2 - from_2))
    if distance < 2.5:
        end_2 = from_2 + (end_2 - from_2 + 1e-3) / (distance + 1e-3) * 2.5
        distance = 2.5
    seconds = distance / float(_pace(np.array(distance))) * float(rng.lognormal(0, 0.1))
    lofted = (distance > 20 and rng.random() < 0.5) or rng.random() < 0.05
    if receiver >= 0 and rng.random() < 0.13:
        receiver, end_2, seconds = _intercept(match, owner, receiver, from_2, end_2, seconds)
    seconds *= 1.15 if lofted else 1.0
    match.phase = Flight(
        start_3=match.ball_3,
        end_2=end_2,
        frames=max(9, round(seconds / TICK_S)),
        apex_m=1.226 * seconds**2 if lofted else 0.0,
        friction=0.12 if lofted else 0.4,
        receiver=receiver,
    )


def _pace(distance_m: np.ndarray) -> np.ndarray:
    """Mean speed of a pass over ``distance_m`` metres, m/s: short balls are rolled, long ones driven."""
    return np.asarray(6.0 + 7.0 * distance_m / (distance_m + 14.0) + 0.09 * distance_m)


def _intercept(
    match: _Match, owner: int, receiver: int, from_2: np.ndarray, end_2: np.ndarray, seconds: float
) -> tuple[int, np.ndarray, float]:
    """Give the pass to the opponent nearest its path, if he can get there in time."""
    share = float(match.rng.uniform(0.45, 0.95))
    cut_2 = from_2 + (end_2 - from_2) * share
    first = 12 if team_of(owner) == 0 else 1
    gaps = np.linalg.norm(match.position_P2[first : first + 10] - cut_2, axis=1)
    if gaps.min() > 4.5 * seconds * share:
        return receiver, end_2, seconds
    return first + int(np.argmin(gaps)), cut_2, seconds * share


def _stop_play(match: _Match, flight: Flight | None, *, middle: bool = False) -> None:
    """Dead time after a ball out (``flight``), a goal (``middle``) or a foul (None)."""
    rng = match.rng
    spot_2 = np.clip(match.ball_3[:2], (0.0, 0.0), PITCH_M)
    thrown = False
    if flight is not None:
        match.possession = 1 - match.possession
        if 0 < match.ball_3[0] < PITCH_M[0]:
            thrown = True
        else:
            spot_2 = np.array([6.0 if spot_2[0] < 52.5 else 99.0, 34.0 + rng.choice([-6.0, 6.0])])
            match.possession = 0 if spot_2[0] < 52.5 else 1
            if middle:
                spot_2 = np.array([52.5, 34.0])
    else:
        thrown = False
        match.possession = 1 - match.possession if rng.random() < 0.3 else match.possession
    first = 11 * match.possession
    taker = first + 1 + int(np.argmin(np.linalg.norm(match.position_P2[first + 1 : first + 11] - spot_2, axis=1)))
    if not thrown and flight is not None and not middle:
        taker = first
    drift_2 = np.zeros(2)
    if flight is not None and not middle:
        drift_2 = (flight.end_2 - flight.start_3[:2]) / (flight.frames * TICK_S) * 0.5
    # The pause makes up for how far the game runs ahead of a real one's pace.
    pace = EVENTS_PER_MINUTE * match.density / 60
    ahead_s = len(match.actions) / pace - match.now * TICK_S
    seconds = float(rng.lognormal(math.log(17.0 / min(match.density, 1.0)), 1.0)) * math.exp(
        float(np.clip(ahead_s / 25, -1.6, 1.2))
    )
    seconds = float(np.clip(seconds, 4.0, min(150.0 / min(match.density, 1.0), 8.0 + 0.25 * match.frames * TICK_S)))
    if match.attacks:  # time to carry the ball to the spot, such as from the net to the middle
        rolled_2 = match.ball_3[:2] + drift_2 / 1.6
        seconds = max(seconds, 2.0 + float(np.linalg.norm(spot_2 - rolled_2)) / 4.0)
    match.phase = Dead(
        frames=round(seconds / TICK_S),
        spot_2=spot_2,
        taker=taker,
        thrown=thrown,
        rest_3=match.ball_3.copy(),
        drift_2=drift_2,
    )


def _wait(match: _Match, phase: Dead) -> None:
    """Let the ball roll out, be fetched to the spot, and restart when the taker is there."""
    tau = phase.age * TICK_S
    rolled_2 = phase.rest_3[:2] + phase.drift_2 * -math.expm1(-1.6 * tau) / 1.6
    left = phase.frames - phase.age
    # The ball is carried there at 4.5 m/s, unseen: a ball that flew by itself would announce the restart.
    walk_frames = max(35.0, float(np.linalg.norm(phase.spot_2 - rolled_2)) / 4.5 / TICK_S)
    fetch = float(np.clip((25 + walk_frames - left) / walk_frames, 0.0, 1.0)) if left < 25 + walk_frames else 0.0
    spot_2 = rolled_2 + (phase.spot_2 - rolled_2) * fetch
    height = 1.9 * fetch if phase.thrown else max(0.0, phase.rest_3[2])
    match.ball_3 = np.array([spot_2[0], spot_2[1], height])
    if left > 0:
        return
    stand_2 = phase.spot_2 - _restart_heading(phase) * _FOOT_M
    if np.linalg.norm(match.position_P2[phase.taker] - stand_2) > 0.3 and left > -400:
        return
    if phase.thrown:
        _kick(match, phase.taker, out=False)
    else:
        match.log("PASS", phase.taker)
        match.swing(phase.taker, match.now)
        _kick(match, phase.taker, out=False)
