"""What Pillow makes of one JPEG, for tests/photo_jpeg.rs.

    python make.py

Writes beside itself: photo.jpg (190 x 131, chroma at half the size), cases.txt (way of decoding, reduction, then the seed of the
draw, the crop and whether it is mirrored; or `eval`) and pixels.bin (16 x 16 RGB bytes of every case, in order). Made with
Pillow 13.0.0 (libjpeg-turbo 3.2.0).

Exact: Image.open, crop, resize. Scaled: Image.draft by the largest of 8, 4 and 2 that leaves at least as many pixels as come out,
then resize(box=...) with the crop's borders divided by it.
"""
import pathlib
import numpy as np
import PIL
from PIL import Image, ImageFilter, features

HERE = pathlib.Path(__file__).parent
SIDE, SHORT = 16, 18
WIDTH, HEIGHT = 190, 131

# seed, left, top, width, height, mirror: what `PhotoTransform::draw` draws, which the test asserts.
DRAWS = [
    (0, 56, 1, 125, 117, 1),
    (2, 31, 13, 56, 61, 0),
    (3, 5, 9, 92, 108, 0),
    (8, 1, 22, 88, 76, 0),
    (9, 10, 3, 150, 124, 0),
    (12, 1, 4, 86, 111, 1),
    (19, 11, 0, 113, 130, 1),
    (20, 39, 43, 102, 88, 1),
    (23, 45, 34, 92, 72, 0),
]


def picture():
    rng = np.random.RandomState(5)
    noise = Image.fromarray(rng.randint(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8))
    smooth = np.asarray(noise.filter(ImageFilter.GaussianBlur(3)).convert("RGB")).astype(np.float64)
    smooth = (smooth - 128) * 6 + 128
    smooth[40:60, 50:120] = (250, 20, 60)
    return Image.fromarray(np.clip(smooth, 0, 255).astype(np.uint8))


def reduction(width, height, wide, high):
    return next((by for by in (8, 4, 2) if width // by >= wide and height // by >= high), 1)


def opened(reduce):
    image = Image.open(HERE / "photo.jpg")
    if reduce > 1:
        image.draft("RGB", (WIDTH // reduce, HEIGHT // reduce))
        assert image.size == (-(-WIDTH // reduce), -(-HEIGHT // reduce))
    return image.convert("RGB")


picture().save(HERE / "photo.jpg", quality=80, subsampling=2)
lines, pixels = [], []
for way in ("exact", "scaled"):
    for seed, left, top, width, height, mirror in DRAWS:
        reduce = reduction(width, height, SIDE, SIDE) if way == "scaled" else 1
        image = opened(reduce)
        if reduce == 1:
            out = image.crop((left, top, left + width, top + height)).resize((SIDE, SIDE), Image.BILINEAR)
        else:
            box = (left / reduce, top / reduce, min((left + width) / reduce, image.width), min((top + height) / reduce, image.height))
            out = image.resize((SIDE, SIDE), Image.BILINEAR, box=box)
        if mirror:
            out = out.transpose(Image.FLIP_LEFT_RIGHT)
        lines.append(f"{way} {reduce} {seed} {left} {top} {width} {height} {mirror}\n")
        pixels.append(np.asarray(out).tobytes())
    wide, high = SHORT * WIDTH // HEIGHT, SHORT
    reduce = reduction(WIDTH, HEIGHT, wide, high) if way == "scaled" else 1
    image = opened(reduce)
    box = (0, 0, min(WIDTH / reduce, image.width), min(HEIGHT / reduce, image.height))
    out = image.resize((wide, high), Image.BILINEAR, box=box)
    left, top = round((wide - SIDE) / 2), round((high - SIDE) / 2)
    lines.append(f"{way} {reduce} eval\n")
    pixels.append(np.asarray(out.crop((left, top, left + SIDE, top + SIDE))).tobytes())
(HERE / "cases.txt").write_text("".join(lines))
(HERE / "pixels.bin").write_bytes(b"".join(pixels))
print("Pillow", PIL.__version__, "libjpeg-turbo", features.version("libjpeg_turbo"))
