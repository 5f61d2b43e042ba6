"""Makes small PNGs of every form, with the pixels that Pillow reads from them.

    python make.py        needs Pillow and blake3

Writes cases.txt (form, width, height, bytes of the file, BLAKE3 of the bytes of `Image.open(f).convert("RGB")`, `(H, W, 3)`) and
encoded.bin with the files one after the other. Made with Pillow 13.0.0.
"""

import io
import struct
import zlib
from pathlib import Path

from blake3 import blake3
from PIL import Image

HERE = Path(__file__).parent
state = 7
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Adam7: first column and row of each pass, and the steps.
PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def byte():
    global state
    state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
    return state >> 56


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def rows(width, height, depth, colour, most):
    """Unfiltered rows of random samples up to `most`."""
    out = b""
    for _ in range(height):
        bits = "".join(format((byte() << 8 | byte()) % (most + 1), f"0{depth}b") for _ in range(width * CHANNELS[colour]))
        bits += "0" * (-len(bits) % 8)
        out += b"\0" + bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    return out


def data(width, height, depth, colour, interlaced, most=None):
    most = (1 << depth) - 1 if most is None else most
    if not interlaced:
        return rows(width, height, depth, colour, most)
    out = b""
    for left, top, across, down in PASSES:
        wide, high = -((left - width) // across), -((top - height) // down)
        if wide > 0 and high > 0:
            out += rows(wide, high, depth, colour, most)
    return out


def png(width, height, depth, colour, interlaced=0, before=(), behind=(), most=None, parts=1):
    packed = zlib.compress(data(width, height, depth, colour, interlaced, most))
    size = -(-len(packed) // parts)
    idat = b"".join(chunk(b"IDAT", packed[at : at + size]) for at in range(0, len(packed), size))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))
    extra = [b"".join(chunk(kind, body) for kind, body in chunks) for chunks in (before, behind)]
    return b"\x89PNG\r\n\x1a\n" + header + extra[0] + idat + extra[1] + chunk(b"IEND", b"")


def frame_control(number, width, height):
    return struct.pack(">IIIIIHHBB", number, width, height, 0, 0, 1, 10, 0, 0)


cases = {}
palette = bytes(byte() for _ in range(48))
for colour, depth in [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8), (4, 8), (4, 16), (6, 8), (6, 16)]:
    before = [(b"PLTE", palette[: 3 << depth])] if colour == 3 else []
    most = 15 if (colour, depth) == (3, 8) else None
    for interlaced in (0, 1):
        for width, height in [(11, 7), (1, 1), (3, 5)]:
            name = f"colour_{colour}_depth_{depth}_{'interlaced' if interlaced else 'plain'}_{width}_by_{height}"
            cases[name] = png(width, height, depth, colour, interlaced, before, most=most)
cases["palette_too_small"] = png(9, 6, 4, 3, 0, [(b"PLTE", palette[:15])])
cases["palette_too_small_interlaced"] = png(9, 6, 8, 3, 1, [(b"PLTE", palette[:15])], most=40)
cases["many_parts"] = png(20, 20, 8, 2, parts=9)
control = struct.pack(">II", 2, 0)
second = (b"fdAT", struct.pack(">I", 2) + zlib.compress(data(10, 8, 8, 2, 0)))
cases["animated"] = png(10, 8, 8, 2, 0, [(b"acTL", control), (b"fcTL", frame_control(0, 10, 8))], [(b"fcTL", frame_control(1, 10, 8)), second])
first = (b"fdAT", struct.pack(">I", 1) + zlib.compress(data(5, 4, 8, 2, 0)))
cases["animated_beside_its_picture"] = png(
    10, 8, 8, 2, 0, [(b"acTL", struct.pack(">II", 1, 0))], [(b"fcTL", frame_control(0, 5, 4)), first]
)

lines = []
for name, encoded in cases.items():
    image = Image.open(io.BytesIO(encoded))
    pixels = blake3(image.convert("RGB").tobytes()).hexdigest()
    lines.append(f"{name} {image.width} {image.height} {len(encoded)} {pixels}\n")
(HERE / "cases.txt").write_text("".join(lines))
(HERE / "encoded.bin").write_bytes(b"".join(cases.values()))
print(len(cases), "forms")
