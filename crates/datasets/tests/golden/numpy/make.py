"""Makes the golden files of the published draws: NumPy's own legacy generator, the loops of LDAM-DRW and MetaSAug.

    python make.py        writes none_train.bin, metasaug_meta.bin, metasaug_train.bin (u32, little endian)

Made with NumPy 2.4.6. 100 classes of 500 images; image i has label (7 i + i // 100) % 100, which is balanced and in no
simple order. Factor 100, seeds 0 (subset) and 6 (meta).
"""

from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
labels = np.array([(7 * i + i // 100) % 100 for i in range(50_000)])
assert (np.bincount(labels) == 500).all()


def long_tailed(classes, base):
    np.random.seed(0)
    kept = []
    for k, indices in enumerate(classes):
        indices = np.array(indices)
        np.random.shuffle(indices)
        kept.append(indices[: int(base * 0.01 ** (k / 99.0))])
    return np.concatenate(kept)


classes = [np.where(labels == k)[0] for k in range(100)]
write = lambda name, indices: (HERE / f"{name}.bin").write_bytes(np.asarray(indices).astype("<u4").tobytes())
write("none_train", long_tailed(classes, 500))

np.random.seed(6)
meta, rest = [], []
for indices in classes:
    indices = indices.copy()
    np.random.shuffle(indices)
    meta.append(indices[:10])
    rest.append(np.sort(indices[10:]))
write("metasaug_meta", np.concatenate(meta))
write("metasaug_train", long_tailed(rest, 490))
print("NumPy", np.__version__)
