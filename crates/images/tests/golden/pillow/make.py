"""Makes the golden files of Pillow's operations as AutoAugment's CIFAR-10 policy uses them (protocol.md 1.3).

    python make.py        writes image.bin, cases.txt, results.bin, policy_image.bin, policy_results.bin,
                          cutout_cases.txt, cutout_results.bin beside itself

Made with Pillow 13.0.0 and NumPy 2.4.6. Images are synthetic, colour waves and noise. Everything is compared for
equality. The small image has too few pixels for `equalize` to do anything; the policy's image has enough.
"""

import math
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, ImageEnhance, ImageOps

HERE = Path(__file__).parent
GREY = (128, 128, 128)
SIGNED = ["shear_x", "shear_y", "translate_x", "translate_y", "color", "contrast", "sharpness", "brightness"]
UNSIGNED = ["rotate", "posterize", "solarize", "auto_contrast", "equalize", "invert"]


def picture(width, height, seed):
    rng = np.random.RandomState(seed)
    y, x = np.mgrid[0:height, 0:width]
    channels = [
        100 + 60 * np.sin(x / 3.0) + 20 * rng.randn(height, width),
        20 + 200 * y / height + 12 * rng.randn(height, width),
        90 + 50 * np.cos((x + 2 * y) / 5.0) + 5 * rng.randn(height, width),
    ]
    return Image.fromarray(np.clip(np.stack(channels, -1), 0, 255).astype(np.uint8), "RGB")


def level(op, index):
    if op.startswith("shear"):
        return np.linspace(0, 0.3, 10)[index]
    if op.startswith("translate"):
        return np.linspace(0, 150 / 331, 10)[index]
    if op == "rotate":
        return np.linspace(0, 30, 10)[index]
    if op == "posterize":
        return int(np.round(np.linspace(8, 4, 10), 0)[index])
    if op == "solarize":
        return np.linspace(256, 0, 10)[index]
    return np.linspace(0.0, 0.9, 10)[index]


def apply(op, index, sign, image):
    m = float(level(op, index))
    affine = lambda data, resample: image.transform(image.size, Image.Transform.AFFINE, data, resample, fillcolor=GREY)
    if op == "shear_x":
        return affine((1, m * sign, 0, 0, 1, 0), Image.Resampling.BICUBIC)
    if op == "shear_y":
        return affine((1, 0, 0, m * sign, 1, 0), Image.Resampling.BICUBIC)
    if op == "translate_x":
        return affine((1, 0, m * image.size[0] * sign, 0, 1, 0), Image.Resampling.NEAREST)
    if op == "translate_y":
        return affine((1, 0, 0, 0, 1, m * image.size[1] * sign), Image.Resampling.NEAREST)
    if op == "rotate":
        turned = image.convert("RGBA").rotate(m)
        return Image.composite(turned, Image.new("RGBA", turned.size, (128,) * 4), turned).convert("RGB")
    if op == "posterize":
        return ImageOps.posterize(image, int(m))
    if op == "solarize":
        return ImageOps.solarize(image, m)
    if op == "auto_contrast":
        return ImageOps.autocontrast(image)
    if op == "equalize":
        return ImageOps.equalize(image)
    if op == "invert":
        return ImageOps.invert(image)
    enhance = {
        "color": ImageEnhance.Color,
        "contrast": ImageEnhance.Contrast,
        "sharpness": ImageEnhance.Sharpness,
        "brightness": ImageEnhance.Brightness,
    }[op]
    return enhance(image).enhance(1 + m * sign)


# Each operation at each magnitude and sign, on a small image of odd sides.
image = picture(17, 13, 0)
cases, results = [], []
for op in SIGNED + UNSIGNED:
    for index in range(10) if op not in ("auto_contrast", "equalize", "invert") else [0]:
        for sign in (1, -1) if op in SIGNED else (1,):
            cases.append(f"{op} {index} {'-' if sign < 0 else '+'}")
            results.append(apply(op, index, sign, image).tobytes())
(HERE / "image.bin").write_bytes(image.tobytes())
(HERE / "cases.txt").write_text("\n".join(cases) + "\n")
(HERE / "results.bin").write_bytes(b"".join(results))

# The 25 sub-policies on an image of CIFAR's size: both operations, one after the other; first sign +, second sign -.
POLICY = """
    invert 7 contrast 6 | rotate 2 translate_x 9 | sharpness 1 sharpness 3 | shear_y 8 translate_y 9
    auto_contrast 8 equalize 2 | shear_y 7 posterize 7 | color 3 brightness 7 | sharpness 9 brightness 9
    equalize 5 equalize 1 | contrast 7 sharpness 5 | color 7 translate_x 8 | equalize 7 auto_contrast 8
    translate_y 3 sharpness 6 | brightness 6 color 8 | solarize 2 invert 3 | equalize 0 auto_contrast 0
    equalize 8 equalize 4 | color 9 equalize 6 | auto_contrast 4 solarize 8 | brightness 3 color 0
    solarize 5 auto_contrast 3 | translate_y 9 translate_y 9 | auto_contrast 2 solarize 3 | equalize 8 invert 3
    translate_y 9 auto_contrast 1
"""
sub_policies = [line.split() for part in POLICY.strip().splitlines() for line in part.split("|")]
assert len(sub_policies) == 25
image = picture(32, 32, 1)
outputs = []
for first, m1, second, m2 in sub_policies:
    outputs.append(apply(second, int(m2), -1, apply(first, int(m1), 1, image)).tobytes())
(HERE / "policy_image.bin").write_bytes(image.tobytes())
(HERE / "policy_results.bin").write_bytes(b"".join(outputs))
# Cutout with one hole of side 16 around a centre (row, column), clipped at the border.
CENTRES = [(16, 16), (0, 0), (31, 31), (3, 20), (24, 8), (8, 24)]
outputs = []
for row, column in CENTRES:
    cut = image.copy()
    cut.paste((0, 0, 0), (max(column - 8, 0), max(row - 8, 0), min(column + 8, 32), min(row + 8, 32)))
    outputs.append(cut.tobytes())
(HERE / "cutout_cases.txt").write_text("".join(f"{row} {column}\n" for row, column in CENTRES))
(HERE / "cutout_results.bin").write_bytes(b"".join(outputs))
print("Pillow", PIL.__version__, "NumPy", np.__version__, len(cases), "cases")
