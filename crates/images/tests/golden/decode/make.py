"""Makes the small encoded images of the decoder's tests and the pixels that Pillow reads from them.

    python make.py        writes NAME.jpg / NAME.png, pixels.bin and cases.txt (name, width, height, orientation),
                          reduced.bin and reduced.txt (name, by what, width, height)

Made with Pillow 13.0.0 (libjpeg-turbo 3.2.0). pixels.bin holds the bytes of `Image.open(f).convert("RGB")`, `(H, W, 3)`,
of all cases in the order of cases.txt. Orientation is what `getexif()` says, 1 where it says nothing.
"""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, ImageFilter, features

HERE = Path(__file__).parent
rng = np.random.RandomState(0)


def picture(width, height):
    """Smooth colours with edges and some noise: all frequencies, all over the cube."""
    noise = Image.fromarray(rng.randint(0, 256, (height, width, 3)).astype(np.uint8))
    smooth = np.asarray(noise.filter(ImageFilter.GaussianBlur(2)).convert("RGB")).astype(np.float64)
    smooth = (smooth - 128) * 4 + 128
    smooth[height // 3 : height // 2, width // 4 : width // 2] = (250, 20, 60)
    return Image.fromarray(np.clip(smooth, 0, 255).astype(np.uint8))


def jpeg(image, **options):
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


def without_segments(data, marker):
    """The file without its segments of one marker (before the first scan)."""
    out, at = data[:2], 2
    while data[at + 1] != 0xDA:
        length = 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
        if data[at + 1] != marker:
            out += data[at : at + length]
        at += length
    return out + data[at:]


def exif(orientation, order):
    mark = {"<": b"II*\0", ">": b"MM\0*"}[order]
    entries = struct.pack(order + "HHI", 0x010F, 2, 3) + b"me\0\0" + struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return b"Exif\0\0" + mark + struct.pack(order + "IH", 8, 2) + entries + b"\0\0\0\0"


def raw_png(width, height, depth, colour, rows, extra=()):
    """A PNG of the given sort: Pillow writes few of them. `rows`: the unfiltered bytes of each row."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    body = b"".join(chunk(kind, content) for kind, content in extra)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def random_rows(height, row_bytes):
    return [rng.bytes(row_bytes) for _ in range(height)]


cases = {}
cases["444.jpg"] = jpeg(picture(43, 37), quality=90, subsampling=0)
cases["422.jpg"] = jpeg(picture(43, 37), quality=85, subsampling=1)
cases["420.jpg"] = jpeg(picture(43, 37), quality=75, subsampling=2)
cases["420_even.jpg"] = jpeg(picture(64, 48), quality=75, subsampling=2)
cases["420_100.jpg"] = jpeg(picture(33, 17), quality=100, subsampling=2)
cases["420_low.jpg"] = jpeg(picture(50, 50), quality=8, subsampling=2)
cases["420_tiny.jpg"] = jpeg(picture(3, 2), quality=80, subsampling=2)
cases["420_one.jpg"] = jpeg(picture(1, 1), quality=80, subsampling=2)
cases["420_thin.jpg"] = jpeg(picture(2, 40), quality=80, subsampling=2)
cases["420_17.jpg"] = jpeg(picture(17, 33), quality=80, subsampling=2)
cases["grey.jpg"] = jpeg(picture(43, 37).convert("L"), quality=80)
cases["restart.jpg"] = jpeg(picture(70, 40), quality=75, subsampling=2, restart_marker_blocks=2)
cases["optimised.jpg"] = jpeg(picture(43, 37), quality=60, subsampling=2, optimize=True)
cases["progressive.jpg"] = jpeg(picture(43, 37), quality=75, subsampling=2, progressive=True)
cases["progressive_444.jpg"] = jpeg(picture(40, 30), quality=92, subsampling=0, progressive=True)
cases["progressive_grey.jpg"] = jpeg(picture(30, 40).convert("L"), quality=75, progressive=True)
cases["progressive_restart.jpg"] = jpeg(picture(43, 37), quality=75, subsampling=1, progressive=True, restart_marker_blocks=3)
cases["rgb.jpg"] = jpeg(picture(35, 27), quality=85, keep_rgb=True)
cases["cmyk.jpg"] = jpeg(picture(35, 27).convert("CMYK"), quality=85)
cases["cmyk_plain.jpg"] = without_segments(cases["cmyk.jpg"], 0xEE)
inverted = bytearray(cases["cmyk.jpg"])
inverted[inverted.index(b"Adobe") + 11] = 2  # the same numbers, said to be YCCK
cases["ycck.jpg"] = bytes(inverted)
cases["440.jpg"] = None
# 4:4:0: a 4:2:2 file with the first component's sampling factors turned; its pixels mean nothing, but are well defined.
turned = bytearray(jpeg(picture(40, 48), quality=80, subsampling=1))
at = turned.index(b"\xff\xc0")
assert turned[at + 11] == 0x21
turned[at + 11] = 0x12
turned[at + 5 : at + 9] = struct.pack(">HH", 48 * 2 // 2, 40)
cases["440.jpg"] = bytes(turned)
# 4:1:1: four luma blocks a unit, as some cameras write; the scan is that of a 4:2:0 file (four, one, one).
four = bytearray(jpeg(picture(64, 32), quality=80, subsampling=2))
at = four.index(b"\xff\xc0")
assert four[at + 11] == 0x22
four[at + 11] = 0x41
four[at + 5 : at + 9] = struct.pack(">HH", 16, 125)
cases["411.jpg"] = bytes(four)
cases["orientation_6.jpg"] = jpeg(picture(24, 16), quality=80, exif=exif(6, "<"))
cases["orientation_3.jpg"] = jpeg(picture(24, 16), quality=80, exif=exif(3, ">"))
cases["orientation_bad.jpg"] = jpeg(picture(24, 16), quality=80, exif=exif(9, ">"))
xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="8"/></x:xmpmeta>'
cases["orientation_xmp.jpg"] = jpeg(picture(24, 16), quality=80, xmp=xmp)
cases["trailing.jpg"] = jpeg(picture(20, 20), quality=80) + b"something after the end" * 3
cases["rgb.png"] = raw_png(21, 9, 8, 2, random_rows(9, 63))
cases["rgb16.png"] = raw_png(11, 7, 16, 2, random_rows(7, 66))
cases["rgba.png"] = raw_png(11, 7, 8, 6, random_rows(7, 44))
cases["rgba16.png"] = raw_png(11, 7, 16, 6, random_rows(7, 88))
cases["grey.png"] = raw_png(11, 7, 8, 0, random_rows(7, 11))
cases["grey1.png"] = raw_png(11, 7, 1, 0, random_rows(7, 2))
cases["grey2.png"] = raw_png(11, 7, 2, 0, random_rows(7, 3))
cases["grey4.png"] = raw_png(11, 7, 4, 0, random_rows(7, 6))
cases["grey16.png"] = raw_png(11, 7, 16, 0, [b"".join(struct.pack(">H", v) for v in rng.choice([0, 1, 127, 128, 200, 255, 256, 257, 300, 511, 4000, 32768, 65279, 65535], 11)) for _ in range(7)])
cases["grey_alpha.png"] = raw_png(11, 7, 8, 4, random_rows(7, 22))
cases["grey_alpha16.png"] = raw_png(11, 7, 16, 4, random_rows(7, 44))
palette = rng.bytes(16 * 3)
cases["palette4.png"] = raw_png(11, 7, 4, 3, random_rows(7, 6), [(b"PLTE", palette)])
cases["palette_clear.png"] = raw_png(11, 7, 4, 3, random_rows(7, 6), [(b"PLTE", palette), (b"tRNS", bytes([0, 128, 255]))])
cases["palette1.png"] = raw_png(11, 7, 1, 3, random_rows(7, 2), [(b"PLTE", palette[:6])])
cases["rgb_clear.png"] = raw_png(11, 7, 8, 2, random_rows(7, 33), [(b"tRNS", struct.pack(">HHH", 1, 2, 3))])
cases["orientation_5.png"] = raw_png(11, 7, 8, 2, random_rows(7, 33), [(b"eXIf", exif(5, ">")[6:])])
out = io.BytesIO()
picture(40, 30).save(out, "PNG", optimize=True)
cases["filters.png"] = out.getvalue()

closed = cases["420_even.jpg"]
cases["closed.jpg"] = closed[: len(closed) * 3 // 4] + b"\xff\xd9"  # cut, then ended: what is missing is grey
at = cases["restart.jpg"].index(b"\xff\xd4")
cases["closed_restart.jpg"] = cases["restart.jpg"][: at + 20] + b"\xff\xd9"
cases["fill.jpg"] = cases["restart.jpg"].replace(b"\xff\xd2", b"\xff\xff\xd2")  # a fill byte before a restart

lines, pixels = [], []
for name, data in cases.items():
    (HERE / name).write_bytes(data)
    image = Image.open(io.BytesIO(data))
    orientation = image.getexif().get(0x0112, 1)
    rgb = np.asarray(image.convert("RGB"))
    lines.append(f"{name} {image.width} {image.height} {orientation}\n")
    pixels.append(rgb.tobytes())

# JPEGs as libjpeg reduces them: Pillow's draft().
reduced_lines, reduced_pixels = [], []
for name, data in cases.items():
    for reduce in (2, 4, 8):
        image = Image.open(io.BytesIO(data))
        if image.format != "JPEG":
            continue
        width, height = image.size
        image.draft(image.mode, (max(1, width // reduce), max(1, height // reduce)))
        if image.size == (-(-width // reduce), -(-height // reduce)) and image.decoderconfig[0] == reduce:
            reduced_lines.append(f"{name} {reduce} {image.width} {image.height}\n")
            reduced_pixels.append(np.asarray(image.convert("RGB")).tobytes())
(HERE / "reduced.txt").write_text("".join(reduced_lines))
(HERE / "reduced.bin").write_bytes(b"".join(reduced_pixels))

(HERE / "cases.txt").write_text("".join(lines))
(HERE / "pixels.bin").write_bytes(b"".join(pixels))
print("Pillow", PIL.__version__, "libjpeg-turbo", features.version("libjpeg_turbo"))
