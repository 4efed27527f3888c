#!/usr/bin/env bash
# kornia 0.9.0: in VideoSequential(same_on_frame=True), RandomChannelDropout changes B frames of the first of B clips.
#
# Guess: with same_on_frame, whose purpose it is, all frames of a clip are changed alike by any augmentation, so eight
# equal frames stay equal. That holds for colours, channel shuffles, erased areas and even noise. RandomChannelDropout
# with p=1 on three clips blanks a channel in each of the first three frames of the first clip, and changes nothing else:
# it takes the number of a clip for that of a frame. On a batch of pictures with same_on_batch=True, it blanks the same
# channel of all of them.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet numpy==2.4.6 torch==2.14.1 kornia==0.9.0
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys

import kornia
import kornia.augmentation as K
import torch

CLIPS, FRAMES = 3, 8
torch.manual_seed(0)
clips_BTCHW = (0.1 + 0.9 * torch.rand(CLIPS, 1, 3, 8, 8)).expand(CLIPS, FRAMES, 3, 8, 8).contiguous()


def changed_frames(augmentation):
    """Which frames of each clip are changed, and whether those of a clip stay equal."""
    apply = K.VideoSequential(augmentation, data_format="BTCHW", same_on_frame=True)
    out_BTCHW = apply(clips_BTCHW)
    changed_BT = (out_BTCHW - clips_BTCHW).abs().amax((2, 3, 4)) > 0
    return changed_BT.tolist(), bool(torch.equal(out_BTCHW, out_BTCHW[:, :1].expand_as(out_BTCHW)))


print("kornia", kornia.__version__, "torch", torch.__version__)
others = {}
for name, augmentation in {
    "ColorJitter": K.ColorJitter(0.5, 0.5, 0.5, 0.1, p=1.0),
    "RandomChannelShuffle": K.RandomChannelShuffle(p=1.0),
    "RandomErasing": K.RandomErasing(p=1.0),
    "RandomGaussianNoise": K.RandomGaussianNoise(p=1.0),
}.items():
    _, others[name] = changed_frames(augmentation)
changed, stay_equal = changed_frames(K.RandomChannelDropout(p=1.0))
pictures_BCHW = K.RandomChannelDropout(p=1.0, same_on_batch=True)(clips_BTCHW[0])
print("expected: all frames of a clip are changed alike; of others they stay equal:", others)
print(f"observed of RandomChannelDropout: they stay equal: {stay_equal}; changed frames of each clip:")
for clip in changed:
    print(" ", [number for number, is_changed in enumerate(clip) if is_changed])
in_a_batch = bool(torch.equal(pictures_BCHW, pictures_BCHW[:1].expand_as(pictures_BCHW)))
print("pictures of a batch with same_on_batch stay equal:", in_a_batch)
of_the_first_clip = [[True] * CLIPS + [False] * (FRAMES - CLIPS)] + [[False] * FRAMES] * (CLIPS - 1)
as_recorded = all(others.values()) and not stay_equal and changed == of_the_first_clip and in_a_batch
print("observed: as recorded" if as_recorded else "the behaviour has changed")
sys.exit(0 if as_recorded else 1)
PY
