"""Makes JPEGs of every form that is read, with the pixels that Pillow reads from them, and some that are refused.

    python make.py        needs Pillow and blake3, and libjpeg-turbo's cjpeg and jpegtran

Writes cases.txt (form, by what it is reduced, width, height, bytes of the file, BLAKE3 of the pixels) and encoded.bin with the files
one after the other, once each, in the order of the cases that are not reduced. The pixels are the bytes of
`Image.open(f).convert("RGB")`, `(H, W, 3)`; reduced ones are Pillow's `draft()`. refused.txt (form, bytes) and refused.bin hold files
that no picture is read from.

Made with Pillow 13.0.0 (libjpeg-turbo 3.2.0), and cjpeg and jpegtran of libjpeg-turbo 2.1.5.
"""

import io
import subprocess
import tempfile
from pathlib import Path

from blake3 import blake3
from PIL import Image, ImageFilter

HERE = Path(__file__).parent
state = 1


def byte():
    global state
    state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
    return state >> 56


def picture(width, height):
    """Smooth colours with an edge and some noise."""
    noise = Image.frombytes("RGB", (width, height), bytes(byte() for _ in range(3 * width * height)))
    smooth = noise.filter(ImageFilter.GaussianBlur(2)).point(lambda value: max(0, min(255, 4 * value - 384)))
    smooth.paste((250, 20, 60), (width // 4, height // 3, width // 2 + 1, height // 2 + 1))
    return smooth


def run(program, data, *options, scans=None):
    with tempfile.TemporaryDirectory() as folder:
        options = list(options)
        if scans:
            script = Path(folder) / "scans"
            script.write_text(scans)
            options += ["-scans", str(script)]
        return subprocess.run([program, *options], input=data, capture_output=True, check=True).stdout


def cjpeg(image, *options, scans=None):
    out = io.BytesIO()
    image.save(out, "PPM")
    return run("cjpeg", out.getvalue(), *options, scans=scans)


def jpegtran(data, *options, scans=None):
    return run("jpegtran", data, "-copy", "all", *options, scans=scans)


def pillow(image, **options):
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


def without(data, marker):
    """Without the segments of one marker before the first scan."""
    out, at = data[:2], 2
    while data[at + 1] != 0xDA:
        length = 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        out += b"" if data[at + 1] == marker else data[at : at + length]
        at += length
    return out + data[at:]


def changed(data, marker, offset, value):
    """With another byte at an offset from the marker."""
    out = bytearray(data)
    out[out.index(bytes([0xFF, marker])) + offset] = value
    return bytes(out)


EACH = "0;\n1;\n2;\n"
GROUPED = "0;\n1,2;\n"
TURNED = "2;\n0;\n1;\n"
FIRST_PAIR = "0,1;\n2;\n"
# Few scans, each with all bits.
BANDS = "0,1,2: 0-0, 0, 0;\n0: 1-63, 0, 0;\n1: 1-63, 0, 0;\n2: 1-63, 0, 0;\n"
# First coefficients apart, narrow bands, three bits one by one, components in another order.
NARROW = (
    "2: 0-0, 0, 2;\n0: 0-0, 0, 2;\n1: 0-0, 0, 2;\n0: 1-1, 0, 3;\n0: 2-9, 0, 0;\n0: 10-63, 0, 1;\n1: 1-63, 0, 2;\n2: 1-5, 0, 0;\n"
    "2: 6-63, 0, 0;\n0,1,2: 0-0, 2, 1;\n0: 1-1, 3, 2;\n0: 1-1, 2, 1;\n1: 1-63, 2, 1;\n0: 10-63, 1, 0;\n0: 1-1, 1, 0;\n"
    "1: 1-63, 1, 0;\n0: 0-0, 1, 0;\n1,2: 0-0, 1, 0;\n"
)
SAMPLINGS = ["1x1", "2x1", "1x2", "2x2", "4x1", "1x4", "4x2", "2x4", "3x1", "3x2", "1x1,2x2,2x2", "2x2,2x1,1x2", "2x1,1x2,1x1", "4x1,2x1,1x1"]

cases = {}
for number, sampling in enumerate(SAMPLINGS):
    size = (37 + 3 * number % 11, 19 + 5 * number % 13)
    name = sampling.replace(",", "_")
    cases[f"scan_each_{name}"] = cjpeg(picture(*size), "-quality", "80", "-sample", sampling, scans=EACH)
    cases[f"one_scan_{name}"] = cjpeg(picture(*size), "-quality", "80", "-sample", sampling)
    cases[f"progressive_{name}"] = cjpeg(picture(*size), "-quality", "80", "-sample", sampling, "-progressive")
for number, (what, scans) in enumerate([("grouped", GROUPED), ("turned", TURNED), ("first_pair", FIRST_PAIR)]):
    for sampling in ["1x1", "2x2"]:
        cases[f"scan_{what}_{sampling}"] = cjpeg(picture(33 + number, 18), "-sample", sampling, scans=scans)
        restarts = cjpeg(picture(41 + number, 35), "-sample", sampling, "-restart", "2B", scans=scans)
        cases[f"scan_{what}_{sampling}_restarts"] = restarts
for number, (what, scans) in enumerate([("bands", BANDS), ("narrow", NARROW)]):
    for sampling in ["1x1", "2x1", "2x2"]:
        cases[f"progressive_{what}_{sampling}"] = cjpeg(picture(35 + number, 21), "-sample", sampling, scans=scans)
        restarts = cjpeg(picture(35 + number, 29), "-sample", sampling, "-restart", "1B", scans=scans)
        cases[f"progressive_{what}_{sampling}_restarts"] = restarts
for width, height in [(1, 1), (2, 3), (8, 8), (9, 17), (16, 16), (17, 9)]:
    cases[f"scan_each_{width}_by_{height}"] = cjpeg(picture(width, height), "-sample", "2x2", scans=EACH)
    cases[f"progressive_{width}_by_{height}"] = cjpeg(picture(width, height), "-sample", "2x2", "-progressive")
cases["progressive_fine"] = cjpeg(picture(40, 30), "-quality", "100", "-sample", "1x1", "-progressive")
cases["progressive_coarse"] = cjpeg(picture(60, 50), "-quality", "5", "-baseline", "-progressive")
cases["progressive_grey"] = cjpeg(picture(30, 41), "-grayscale", "-progressive")
cases["progressive_grey_2x2"] = changed(cases["progressive_grey"], 0xC2, 11, 0x22)
cases["progressive_rgb"] = cjpeg(picture(30, 41), "-rgb", "-progressive")
cases["scan_each_rgb"] = cjpeg(picture(30, 41), "-rgb", scans=EACH)
cases["extended"] = changed(cjpeg(picture(30, 23)), 0xC0, 1, 0xC1)
cases["extended_scan_each"] = changed(cjpeg(picture(30, 23), scans=EACH), 0xC0, 1, 0xC1)
cases["extended_wide_steps"] = cjpeg(picture(60, 50), "-quality", "3")
cases["optimised_scan_each"] = cjpeg(picture(30, 23), "-optimize", scans=EACH)
cases["without_tables"] = without(cjpeg(picture(30, 23)), 0xC4)
cases["without_tables_grey"] = without(cjpeg(picture(30, 23), "-grayscale"), 0xC4)
cases["names_alike"] = changed(changed(cjpeg(picture(30, 23), "-sample", "1x1"), 0xC0, 13, 1), 0xC0, 16, 1)
names = bytearray(cases["names_alike"])
at = names.index(b"\xff\xda")
names[at + 7] = names[at + 9] = 1
cases["names_alike"] = bytes(names)
for sort, image in [("cmyk", picture(35, 27).convert("CMYK"))]:
    plain = pillow(image, quality=85)
    half = pillow(image, quality=85, subsampling=2)
    for what, data in [(sort, plain), ("ycck", changed(plain, 0xEE, 15, 2)), ("ycck_2x2", changed(half, 0xEE, 15, 2))]:
        cases[what] = data
        cases[f"progressive_{what}"] = jpegtran(data, "-progressive")
        cases[f"scan_each_{what}"] = jpegtran(data, scans="0;\n1;\n2;\n3;\n")
        cases[f"scan_pairs_{what}_restarts"] = jpegtran(data, "-restart", "3B", scans="0,3;\n1,2;\n")
    cases["cmyk_without_adobe"] = without(cases["progressive_cmyk"], 0xEE)
    cases["adobe_of_no_sort"] = changed(plain, 0xEE, 15, 1)
rgb = pillow(picture(35, 27), quality=85, keep_rgb=True)
cases["adobe_rgb"] = rgb
cases["adobe_rgb_progressive"] = pillow(picture(35, 27), quality=85, keep_rgb=True, progressive=True)
cases["adobe_ycc"] = changed(rgb, 0xEE, 15, 1)
cases["names_rgb"] = without(rgb, 0xEE)
grey = pillow(picture(20, 20).convert("L"), quality=60)
cases["grey_2x2"] = changed(grey, 0xC0, 11, 0x22)
whole = cjpeg(picture(30, 23))
cases["trailer_for_an_end"] = whole[:-2] + b"\0\0something that a phone appends"
cases["trailer_behind_the_end"] = whole + b"\0\0something that a phone appends"
restarted = cjpeg(picture(40, 33), "-restart", "2B")
cases["trailer_for_an_end_restarts"] = restarted[:-2] + b"SEFT" * 9

def line(name, reduce, image, data):
    return f"{name} {reduce} {image.width} {image.height} {len(data)} {blake3(image.convert('RGB').tobytes()).hexdigest()}\n"


lines, encoded = [], []
for name, data in cases.items():
    image = Image.open(io.BytesIO(data))
    lines.append(line(name, 1, image, data))
    encoded.append(data)
for name, data in cases.items():
    for reduce in (2, 4, 8):
        image = Image.open(io.BytesIO(data))
        width, height = image.size
        image.draft(image.mode, (max(1, width // reduce), max(1, height // reduce)))
        if image.size == (-(-width // reduce), -(-height // reduce)) and image.decoderconfig[0] == reduce:
            lines.append(line(name, reduce, image, data))
(HERE / "cases.txt").write_text("".join(lines))
(HERE / "encoded.bin").write_bytes(b"".join(encoded))

each = cases["scan_each_2x2"]
second, third = [at for at in range(len(each)) if each[at : at + 2] == b"\xff\xda"][1:]
progressive = cases["progressive_2x2"]
starts = [at for at in range(len(progressive)) if progressive[at : at + 2] == b"\xff\xda"]
refused = {
    "arithmetic": cjpeg(picture(30, 23), "-arithmetic"),
    "arithmetic_progressive": cjpeg(picture(30, 23), "-arithmetic", "-progressive"),
    "twelve_bits": changed(changed(whole, 0xC0, 4, 12), 0xC0, 1, 0xC1),
    "lossless": changed(whole, 0xC0, 1, 0xC3),
    "hierarchical": changed(whole, 0xC0, 1, 0xC5),
    "two_components": changed(whole, 0xC0, 9, 2),
    "uneven_samplings": changed(cjpeg(picture(30, 23), "-sample", "3x1"), 0xC0, 14, 0x21),
    "large_unit": changed(whole, 0xC0, 11, 0x44),
    "sampling_of_nothing": changed(whole, 0xC0, 11, 0x02),
    "component_without_a_scan": each[:third] + b"\xff\xd9",
    "one_scan_twice": each[:third] + each[second:],
    "scans_missing": progressive[: starts[-1]] + b"\xff\xd9",
    "first_scan_missing": progressive[: starts[0]] + progressive[starts[1] :],
    "two_frames": whole[:2] + whole[whole.index(b"\xff\xc0") : whole.index(b"\xff\xc4")] + whole[2:],
    "no_quantisation_table": without(whole, 0xDB),
    "progressive_without_tables": without(progressive, 0xC4),
}
(HERE / "refused.txt").write_text("".join(f"{name} {len(data)}\n" for name, data in refused.items()))
(HERE / "refused.bin").write_bytes(b"".join(refused.values()))
for name, data in refused.items():
    try:
        Image.open(io.BytesIO(data)).convert("RGB")
        print(name, "is read by Pillow")
    except (OSError, SyntaxError) as error:
        print(name, error)
print(len(cases), "forms")
