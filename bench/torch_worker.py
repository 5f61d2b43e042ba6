"""The PyTorch side of `cargo xtask bench`: runs one case each time it is told to.

    python torch_worker.py THREADS channels-last|contiguous

It reads a line and answers with one; the words are those of src/main.rs beside it. Needs torch, and a graphics card for cases
with device=cuda alone.
"""

import math
import os
import pathlib
import signal
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

SHORTEST_SECS = 0.05
LR, MOMENTUM, WEIGHT_DECAY = 1e-3, 0.9, 5e-4
aten = torch.ops.aten


class Absent(Exception):
    """The case is sound, but this script has none such."""


def process_bytes(field):
    """A field of Linux's /proc/self/status in bytes; elsewhere None."""
    try:
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith(field):
                    return 1024 * int(line.split()[1])
    except OSError:
        pass
    return None


ON_GPU = BF16 = False


def timed(work):
    """Seconds until the work is done, not until it has been asked for."""
    if ON_GPU:
        torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    if ON_GPU:
        torch.cuda.synchronize()
    return time.perf_counter() - began


def use_device(device, precision):
    global ON_GPU, BF16
    if device != "cpu" and not torch.cuda.is_available():
        raise Absent("torch sees no GPU")
    ON_GPU, BF16 = device != "cpu", precision == "bf16"
    torch.set_default_device(device)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.benchmark = True


def precise():
    """Where a network runs: in bfloat16 by torch's autocast, where that is the case's precision."""
    return torch.autocast("cuda" if ON_GPU else "cpu", dtype=torch.bfloat16, enabled=BF16)


# --- kernels


def convolution(kind, batch, size, kernel, stride, groups, layout, **channels):
    inputs, outputs = channels["in"], channels["out"]
    padding = kernel // 2
    out_size = (size + 2 * padding - kernel) // stride + 1
    x = torch.randn(batch, inputs, size, size).to(memory_format=layout)
    weight = torch.randn(outputs, inputs // groups, kernel, kernel).to(memory_format=layout)
    dy = torch.randn(batch, outputs, out_size, out_size).to(memory_format=layout)
    steps, pads, ones = [stride, stride], [padding, padding], [1, 1]

    def gradient(mask):
        aten.convolution_backward(dy, x, weight, None, steps, pads, ones, False, [0, 0], groups, mask)

    work = {
        "conv-forward": lambda: F.conv2d(x, weight, None, stride, padding, 1, groups),
        "conv-input": lambda: gradient([True, False, False]),
        "conv-weight": lambda: gradient([False, True, False]),
    }[kind]

    def repetition():
        with torch.inference_mode():
            return timed(work)

    return repetition


def norm(kind, batch, size, channels, layout):
    x = torch.randn(batch, channels, size, size).to(memory_format=layout)
    dy = torch.randn(batch, channels, size, size).to(memory_format=layout)
    gamma, beta = torch.ones(channels), torch.zeros(channels)
    running = torch.zeros(channels), torch.ones(channels)

    def forward():
        return aten.native_batch_norm(x, gamma, beta, *running, True, 0.1, 1e-5)

    _, mean, inv_std = forward()

    def backward():
        aten.native_batch_norm_backward(dy, x, gamma, *running, mean, inv_std, True, 1e-5, [True, True, True])

    work = forward if kind == "norm-forward" else backward

    def repetition():
        with torch.inference_mode():
            return timed(work)

    return repetition


# --- networks


class ConvNorm(nn.Sequential):
    def __init__(self, inputs, outputs, kernel, stride=1, groups=1):
        conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        super().__init__(conv, nn.BatchNorm2d(outputs))


class EverySecondPixel(nn.Module):
    """The option-A shortcut: half the rows and columns, new channels of zeros on both sides."""

    def __init__(self, new_channels):
        super().__init__()
        self.side = new_channels // 2

    def forward(self, x):
        return F.pad(x[..., ::2, ::2], (0, 0, 0, 0, self.side, self.side))


class Residual(nn.Module):
    def __init__(self, shortcut, *layers):
        super().__init__()
        self.shortcut = shortcut
        self.layers = nn.ModuleList(layers)

    def forward(self, x):
        y = x
        for layer in self.layers[:-1]:
            y = F.relu(layer(y), inplace=True)
        return F.relu(self.layers[-1](y) + self.shortcut(x), inplace=True)


class Network(nn.Module):
    """Features by a global mean, logits by a linear head."""

    def __init__(self, stem, blocks, features, classes):
        super().__init__()
        self.trunk = nn.Sequential(*stem, *blocks)
        self.head = nn.Linear(features, classes)

    def features(self, images):
        return self.trunk(images).mean((2, 3))

    def forward(self, images):
        features = self.features(images)
        return features, self.head(features)


def cifar_resnet(depth, classes):
    blocks, inputs = [], 16
    for width in (16, 32, 64):
        for _ in range((depth - 2) // 6):
            stride = 1 if width == inputs else 2
            shortcut = nn.Identity() if stride == 1 else EverySecondPixel(width - inputs)
            blocks.append(Residual(shortcut, ConvNorm(inputs, width, 3, stride), ConvNorm(width, width, 3)))
            inputs = width
    return Network([ConvNorm(3, 16, 3), nn.ReLU(inplace=True)], blocks, 64, classes)


def bottleneck_resnet(depths, groups, group_width, classes):
    """The stride sits in the 3x3 convolution, as in torchvision's."""
    blocks, inputs = [], 64
    for stage, depth in enumerate(depths):
        inner, outputs = groups * group_width << stage, 256 << stage
        for place in range(depth):
            stride = 2 if stage > 0 and place == 0 else 1
            shortcut = ConvNorm(inputs, outputs, 1, stride) if place == 0 else nn.Identity()
            layers = ConvNorm(inputs, inner, 1), ConvNorm(inner, inner, 3, stride, groups), ConvNorm(inner, outputs, 1)
            blocks.append(Residual(shortcut, *layers))
            inputs = outputs
    stem = ConvNorm(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
    return Network(stem, blocks, inputs, classes)


def network(net, classes, layout):
    makers = {
        "resnet32": lambda: cifar_resnet(32, classes),
        "resnet50": lambda: bottleneck_resnet((3, 4, 6, 3), 1, 64, classes),
        "resnext50_32x4d": lambda: bottleneck_resnet((3, 4, 6, 3), 32, 4, classes),
    }
    if net not in makers:
        raise Absent(f"the script has no network {net}")
    return makers[net]().to(memory_format=layout)


def labelled_images(batch, size, classes, layout):
    images = torch.randn(batch, 3, size, size).to(memory_format=layout)
    return images, torch.arange(batch) % classes


def step(net, batch, size, classes, layout, features, compile=0):
    model = network(net, classes, layout)
    model = torch.compile(model) if compile else model
    images, labels = labelled_images(batch, size, classes, layout)
    optimizer = torch.optim.SGD(model.parameters(), LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)

    def work():
        optimizer.zero_grad(set_to_none=True)
        with precise():
            loss = F.cross_entropy(model(images)[1], labels)
        loss.backward()
        optimizer.step()

    return lambda: timed(work)


def infer(net, batch, size, classes, layout, features, compile=0):
    model = network(net, classes, layout).eval()
    images, _ = labelled_images(batch, size, classes, layout)
    made = torch.compile(model.features) if compile else model.features

    def repetition():
        with torch.inference_mode(), precise():
            return timed(lambda: made(images))

    return repetition


class MetaNetwork(nn.Module):
    """Two hidden layers as wide as the prototypes, added to their input."""

    def __init__(self, dim):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim)
        )

    def forward(self, prototypes):
        return prototypes + self.layers(prototypes)


def mpcl(net, batch, size, classes, layout, features, compile=0):
    """The bi-level step by second-order autograd: a virtual step that keeps its graph, the meta loss through it to the
    meta-network, then the real step."""
    if compile:
        raise Absent("torch.compile has no second-order gradients")
    temperature, weight = 0.07, 0.5
    model = network(net, classes, layout)
    meta = MetaNetwork(features)
    images, labels = labelled_images(batch, size, classes, layout)
    meta_images, meta_labels = labelled_images(batch, size, classes, layout)
    prototypes = F.normalize(torch.randn(classes, features))
    optimizer = torch.optim.SGD(model.parameters(), LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    meta_optimizer = torch.optim.Adam(meta.parameters(), 1e-4)

    def loss(output, meta_prototypes):
        features, logits = output
        cosines = F.normalize(features) @ F.normalize(meta_prototypes).T
        return F.cross_entropy(logits, labels) + weight * F.cross_entropy(cosines / temperature, labels)

    def untracked():
        return {name: buffer.clone() for name, buffer in model.named_buffers()}

    def work():
        weights = dict(model.named_parameters())
        with precise():
            first = loss(functional_call(model, (weights, untracked()), (images,)), meta(prototypes))
        gradients = torch.autograd.grad(first, list(weights.values()), create_graph=True)
        virtual = {name: value - LR * gradient for (name, value), gradient in zip(weights.items(), gradients)}
        with precise():
            logits = functional_call(model, (virtual, untracked()), (meta_images,))[1]
            after = F.cross_entropy(logits, meta_labels)
        meta_weights = list(meta.parameters())
        meta_gradients = torch.autograd.grad(after, meta_weights)
        for value, gradient in zip(meta_weights, meta_gradients):
            value.grad = gradient
        meta_optimizer.step()
        del first, gradients, virtual, logits, after
        optimizer.zero_grad(set_to_none=True)
        with precise():
            with torch.no_grad():
                meta_prototypes = meta(prototypes)
            output = model(images)
            whole = loss(output, meta_prototypes)
        whole.backward()
        optimizer.step()
        with torch.no_grad():  # every class's mean follows the batch
            unit = F.normalize(output[0].float())
            moved = prototypes.index_add(0, labels, unit - prototypes[labels], alpha=0.001)
            prototypes.copy_(F.normalize(moved))

    return lambda: timed(work)


# --- feature generation


def generate(classes, largest, smallest, dim, sources, layout, bend=100, batches=None):
    """The dense way: for every real feature the mean of its nearest classes' covariances, a Cholesky factor, and samples.
    Of all features that have rows to generate, about `sources` are taken, evenly spaced. Seconds are of 1000 rows.
    Covariances are made beforehand, and of the classes that are near one of these features only: all of them may not fit."""
    neighbors, ridge = 3, 1e-4
    counts = [round(largest * (smallest / largest) ** ((k / (classes - 1)) ** (bend / 100))) for k in range(classes)]
    rows = [torch.rand(count, dim) for count in counts]
    means = torch.stack([values.mean(0) for values in rows])
    todo = []
    for k, count in enumerate(counts):
        each, rest = divmod(max(counts) - count, count)
        todo += [(k, place, each + (place < rest)) for place in range(count) if each + (place < rest) > 0]
    todo = todo[:: max(len(todo) // sources, 1)]
    jitter = ridge * torch.eye(dim)

    def nearest(feature):
        return torch.cdist(feature[None], means)[0].topk(neighbors, largest=False).indices

    used = sorted({int(near) for k, place, _ in todo for near in nearest(rows[k][place])})
    covariances = torch.stack([torch.cov(rows[k].T) for k in used])
    slot = torch.full((classes,), -1)
    slot[used] = torch.arange(len(used))

    def work():
        for k, place, wanted in todo:
            feature = rows[k][place]
            near = nearest(feature)
            mean = (means[near].sum(0) + feature) / (neighbors + 1)
            factor = torch.linalg.cholesky(covariances[slot[near]].mean(0) + jitter)
            law = torch.distributions.MultivariateNormal(mean, scale_tril=factor, validate_args=False)
            law.sample((wanted,))

    total = sum(wanted for _, _, wanted in todo)
    return lambda: timed(work) * 1000.0 / total


# --- photographs


def photo(transform, decode, side, layout):
    """One pass over the JPEG files below LONGTAIL_BENCH_IMAGES with torchvision's transforms, as its data loader does it:
    one thread in this process, more as worker processes. Seconds are of one image."""
    try:
        from PIL import Image
        from torchvision import transforms
    except ImportError as reason:
        raise Absent(f"torchvision is not installed ({reason})") from reason
    if decode != "exact" or layout != torch.channels_last:
        raise Absent("one way of decoding, and one layout")
    files = photo_files()
    tail = [
        transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ]
    head = {
        "train": [
            transforms.RandomResizedCrop(side),
            transforms.RandomHorizontalFlip(),
            transforms.ColorJitter(0.4, 0.4, 0.4, 0),
        ],
        "eval": [transforms.Resize(round(side * 256 / 224)), transforms.CenterCrop(side)],
    }[transform]
    images = PhotoSet(files, transforms.Compose(head + tail), Image)
    threads = int(sys.argv[1])
    workers = {"num_workers": threads, "persistent_workers": True} if threads > 1 else {}
    loader = torch.utils.data.DataLoader(images, batch_size=32, **workers)

    def work():
        for _ in loader:
            pass

    return lambda: timed(work) / len(files)


def photo_files():
    folder = os.environ.get("LONGTAIL_BENCH_IMAGES")
    if not folder:
        raise Absent("no --images DIR")
    return sorted(path for path in pathlib.Path(folder).rglob("*") if path.suffix.lower() in (".jpeg", ".jpg"))


class PhotoSet(torch.utils.data.Dataset):
    def __init__(self, files, transform, pillow):
        self.files, self.transform, self.pillow = files, transform, pillow

    def __len__(self):
        return len(self.files)

    def __getitem__(self, place):
        return self.transform(self.pillow.open(self.files[place]).convert("RGB"))


# --- the loop

KINDS = {"step": step, "infer": infer, "mpcl": mpcl, "generate": generate, "photo": photo}


def read_case(line, layout):
    """A repetition that returns its seconds, and how often to run it so that the clock can see it."""
    _, kind, *words = line.split()
    values = dict(word.split("=", 1) for word in words)
    values = {name: int(value) if value.isdigit() else value for name, value in values.items()}
    use_device(values.pop("device", "cpu"), values.pop("precision", "f32"))
    if kind.startswith("conv-"):
        repetition = convolution(kind, layout=layout, **values)
    elif kind.startswith("norm-"):
        repetition = norm(kind, layout=layout, **values)
    elif kind in KINDS:
        repetition = KINDS[kind](layout=layout, **values)
    else:
        raise Absent(f"the script has no case {kind}")
    for _ in range(2):
        began = time.perf_counter()
        secs = repetition()
        wall = time.perf_counter() - began
        if wall > 3.0:
            break
    return repetition, max(1, min(10_000, math.ceil(SHORTEST_SECS / max(wall, 1e-7)))), secs


def main():
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    torch.set_num_threads(int(sys.argv[1]))
    torch.manual_seed(0)
    layout = {"channels-last": torch.channels_last, "contiguous": torch.contiguous_format}[sys.argv[2]]
    version = ".".join(torch.__version__.split("+")[0].split(".")[:2])
    label = f"pytorch {version} {sys.argv[2]}"
    start_bytes = process_bytes("VmRSS:")
    repetition, times = None, 1
    for line in sys.stdin:
        verb, _, rest = line.strip().partition(" ")
        if verb == "case":
            repetition = None  # the memory of the last case, before that of the next
            try:
                repetition, times, secs = read_case(rest, layout)
                compiled = " compiled" if "compile=1" in rest else ""
                answer = f"ready {secs:.9f} {label}{compiled}"
            except Absent as reason:
                answer = f"absent {reason}"
        elif verb == "go":
            answer = f"secs {sum(repetition() for _ in range(times)) / times:.9f}"
        elif verb == "mem":
            peak = process_bytes("VmHWM:")
            answer = "mem unknown" if peak is None else f"mem {peak - start_bytes}"
        else:
            raise SystemExit(f"unknown command {verb}")
        print(answer, flush=True)


main()
