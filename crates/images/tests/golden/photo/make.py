"""What torchvision's transforms make of small images, for tests/photo.rs.

    python make.py

Writes beside itself: cases.txt (one case a line), pixels.bin (the bytes of every case before normalisation, in order),
normalised.bin (the last training case after it, f32), crops.txt (moments of torchvision's random crops), orientations.bin (an image
under each of the eight EXIF orientations: a PNG file, then the pixels of it upright, then what scoring makes of those). Needs torch,
torchvision, Pillow and numpy. Images are a formula, so that none is stored but those whose files matter.
"""
import io, pathlib, struct
import numpy as np
import torch
from PIL import Image, ImageOps
from torchvision import transforms
from torchvision.transforms import functional as F
from torchvision.transforms.functional import InterpolationMode

HERE = pathlib.Path(__file__).parent


def image(width, height):
    y, x, c = np.mgrid[0:height, 0:width, 0:3].astype(np.int64)
    return Image.fromarray((((3 * x * x + 5 * x * y + 2 * y * y + 71 * c * (x + 3)) >> 3) & 255).astype(np.uint8))


# width, height, crop (left, top, width, height), mirror, jitter
TRAIN = [
    (61, 47, (5, 3, 50, 40), 0, ""),
    (61, 47, (0, 0, 61, 47), 1, ""),
    (61, 47, (20, 11, 9, 12), 0, ""),
    (32, 32, (0, 0, 32, 32), 0, ""),
    (300, 200, (17, 23, 211, 160), 1, ""),
    (1, 1, (0, 0, 1, 1), 0, ""),
    (1, 90, (0, 20, 1, 2), 0, ""),
    (61, 47, (5, 3, 50, 40), 0, "b1.37"),
    (61, 47, (5, 3, 50, 40), 0, "b0.61"),
    (61, 47, (5, 3, 50, 40), 0, "c1.4"),
    (61, 47, (5, 3, 50, 40), 0, "c0.6"),
    (61, 47, (5, 3, 50, 40), 0, "s1.33"),
    (61, 47, (5, 3, 50, 40), 0, "s0.72"),
    (61, 47, (5, 3, 50, 40), 1, "c1.21,b0.83,s1.17"),
    (300, 200, (17, 23, 211, 160), 1, "s0.65,c0.91,b1.29"),
]
# width, height, short side
EVAL = [(61, 47, 37), (47, 61, 37), (40, 40, 32), (300, 200, 36), (20, 31, 37), (3, 200, 33), (1, 1, 32), (41, 33, 33)]
SIDE = 32
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
ADJUST = {"b": F.adjust_brightness, "c": F.adjust_contrast, "s": F.adjust_saturation}

cases, pixels = [], []
for width, height, (left, top, w, h), mirror, jitter in TRAIN:
    out = F.resized_crop(image(width, height), top, left, h, w, [SIDE, SIDE], InterpolationMode.BILINEAR)
    if mirror:
        out = F.hflip(out)
    for one in filter(None, jitter.split(",")):
        # The factor as f32, which is what the program draws.
        out = ADJUST[one[0]](out, float(np.float32(one[1:])))
    cases.append(f"train {width} {height} {left} {top} {w} {h} {mirror} {jitter or '-'}")
    pixels.append(np.asarray(out))
normalised = F.normalize(F.to_tensor(out), MEAN, STD).permute(1, 2, 0).contiguous().numpy()
for width, height, short in EVAL:
    done = transforms.Compose([transforms.Resize(short), transforms.CenterCrop(SIDE)])(image(width, height))
    cases.append(f"eval {width} {height} {short}")
    pixels.append(np.asarray(done))
(HERE / "cases.txt").write_text("\n".join(cases) + "\n")
(HERE / "pixels.bin").write_bytes(b"".join(p.tobytes() for p in pixels))
(HERE / "normalised.bin").write_bytes(normalised.astype("<f4").tobytes())

torch.manual_seed(1)
DRAWS = 20000
lines = []
for width, height in [(500, 375), (375, 500), (90, 60), (200, 60)]:
    blank = Image.new("RGB", (width, height))
    params = [transforms.RandomResizedCrop.get_params(blank, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(DRAWS)]
    top, left, h, w = (np.array(values, dtype=np.float64) for values in zip(*params))
    measured = [w * h / (width * height), np.log(w / h), left, top]
    lines.append(" ".join([str(width), str(height)] + [f"{m.mean():.8g} {m.std():.8g}" for m in measured]))
(HERE / "crops.txt").write_text("\n".join(lines) + "\n")

# A file each, in both byte orders of EXIF; the same stored pixels. Then Pillow's upright ones, then Resize(9) and CenterCrop(8).
stored, files = image(19, 13), []
for orientation in range(1, 9):
    order, mark = [("<", b"II"), (">", b"MM")][orientation % 2]
    exif = mark + struct.pack(order + "HIHHHIHHI", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    file = io.BytesIO()
    stored.save(file, "PNG", exif=exif, optimize=True)
    upright = ImageOps.exif_transpose(Image.open(file))
    assert upright.size == ((19, 13) if orientation < 5 else (13, 19))
    scored = transforms.Compose([transforms.Resize(9), transforms.CenterCrop(8)])(upright)
    files.append(file.getvalue() + np.asarray(upright).tobytes() + np.asarray(scored).tobytes())
(HERE / "orientations.bin").write_bytes(b"".join(files))
