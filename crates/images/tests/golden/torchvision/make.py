"""Makes the golden files of crop, flip and normalisation.

    python make.py        writes colour.bin, grey.bin (images), cases.txt, colour_results.bin, grey_results.bin

Made with torchvision 0.29.2 and torch 2.15.0. Results are (H, W, C) f32, little endian; compared for equality, as a byte
takes 256 values and both sides compute (v/255 - mean)/std in f32.
"""

from pathlib import Path

import numpy as np
import torch
import torchvision
import torchvision.transforms.functional as F
from PIL import Image

torch.set_num_threads(1)
HERE = Path(__file__).parent
CASES = [(4, 4, 0), (0, 0, 0), (8, 8, 1), (0, 8, 1), (3, 6, 0), (7, 1, 1)]  # top, left in the padded image, flip
rng = np.random.RandomState(0)
(HERE / "cases.txt").write_text("".join(f"{top} {left} {flip}\n" for top, left, flip in CASES))
for name, shape, mean, std in [
    ("colour", (32, 32, 3), (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    ("grey", (28, 28, 1), (0.2860,), (0.3530,)),
]:
    pixels = rng.randint(0, 256, shape).astype(np.uint8)
    (HERE / f"{name}.bin").write_bytes(pixels.tobytes())
    image = Image.fromarray(pixels if shape[2] == 3 else pixels[:, :, 0])
    results = []
    for top, left, flip in CASES:
        out = F.crop(F.pad(image, 4, fill=0), top, left, shape[0], shape[1])
        out = F.hflip(out) if flip else out
        out = F.normalize(F.to_tensor(out), mean, std)  # (C, H, W)
        results.append(out.permute(1, 2, 0).contiguous().numpy().astype("<f4").tobytes())
    (HERE / f"{name}_results.bin").write_bytes(b"".join(results))
print("torchvision", torchvision.__version__, "torch", torch.__version__)
