"""Bilinear resizing and its gradient by torch.nn.functional.interpolate. Run: python make.py

Writes cases.txt (a line a case: batch height width channels out_height out_width align_corners) and expected.bin, which holds
for each case y, dx (f64) and y computed in f32 (stored as f64), channels last, little endian. Inputs are element i of x =
(37 i mod 101) / 16 - 3 and of dy = (53 i mod 97) / 16 - 3, exact in f32. Made with torch 2.15.0.
"""

from pathlib import Path

import torch
import torch.nn.functional as F

torch.set_num_threads(1)
HERE = Path(__file__).parent
SIZES = [  # batch, height, width, channels, out_height, out_width
    (2, 3, 4, 3, 6, 8),
    (1, 5, 7, 2, 11, 9),
    (1, 7, 8, 3, 3, 5),
    (1, 9, 6, 1, 2, 13),
    (1, 1, 5, 2, 4, 5),
    (1, 6, 1, 1, 3, 4),
    (2, 1, 1, 3, 2, 3),
    (1, 4, 5, 1, 1, 1),
    (1, 5, 5, 2, 5, 5),
    (1, 5, 4, 17, 3, 7),
]
lines, results = [], []
for n, h, w, c, oh, ow in SIZES:
    for align in (False, True):
        x = ((torch.arange(n * h * w * c) * 37 % 101).double() / 16 - 3).view(n, h, w, c).permute(0, 3, 1, 2)
        dy = ((torch.arange(n * oh * ow * c) * 53 % 97).double() / 16 - 3).view(n, oh, ow, c).permute(0, 3, 1, 2)
        x.requires_grad_()
        y = F.interpolate(x, size=(oh, ow), mode="bilinear", align_corners=align, antialias=False)
        y.backward(dy)
        single = F.interpolate(x.detach().float(), size=(oh, ow), mode="bilinear", align_corners=align).double()
        lines.append(f"{n} {h} {w} {c} {oh} {ow} {int(align)}\n")
        for part in (y.detach(), x.grad, single):
            results.append(part.permute(0, 2, 3, 1).contiguous().numpy().astype("<f8").tobytes())
(HERE / "cases.txt").write_text("".join(lines))
(HERE / "expected.bin").write_bytes(b"".join(results))
print("torch", torch.__version__)
