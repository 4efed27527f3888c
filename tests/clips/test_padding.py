"""Which frames of a clip are padding."""

from hypothesis import given
from hypothesis import strategies as st

from e2espot.clips.padding import inside_video
from e2espot.clips.sampler import ClipSpec


def test_clip_over_both_ends_is_padded_outside_the_video() -> None:
    clip = ClipSpec(video=0, start=-2, length=6)
    assert inside_video(clip, 3).tolist() == [False, False, True, True, True, False]


@given(st.integers(-40, 40), st.integers(1, 30), st.integers(0, 50))
def test_frames_inside_are_those_that_the_video_has(start: int, length: int, num_frames: int) -> None:
    inside_T = inside_video(ClipSpec(video=0, start=start, length=length), num_frames)
    assert [start + t for t in range(length) if inside_T[t]] == [
        frame for frame in range(num_frames) if start <= frame < start + length
    ]
