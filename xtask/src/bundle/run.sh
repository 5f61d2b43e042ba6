#!/bin/sh
# Runs the recipes of this bundle. Made by `cargo xtask bundle`; needs neither Rust nor a network.
# Exit codes: those of `cargo xtask reproduce`; 2 also if this machine lacks something, which is listed first.
set -u
recipes="@RECIPES@"
device="@DEVICE@"
# What the programs in bin/cuda were built with: the major version of CUDA or none, and whether cuDNN. Those in bin need no GPU.
cuda="@CUDA@"
cudnn="@CUDNN@"

help() {
    cat <<EOF
Usage: sh run.sh [RECIPE] [ARGUMENTS of cargo xtask reproduce]
       sh run.sh bench [ARGUMENTS of cargo xtask bench]
       sh run.sh test                               compares GPU and CPU; needs a bundle made with --tests

Recipes: $recipes (default: the first). Device: $device, unless you give --device;
auto means a GPU if the CUDA programs start and a GPU is available, else the CPU.

Examples:
  sh run.sh --check                            list what this machine lacks, and stop
  sh run.sh --dry-run                          print the plan
  sh run.sh RECIPE --seeds 3 --runs /fast/runs
  sh run.sh RECIPE --set representation_defaults.cuda_precision=tf32
  sh run.sh bench --python python3             compare with the PyTorch of that Python

Results go to runs/ in this folder unless you give --runs. If a run was stopped, run the same command again to continue.
EOF
}

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd) || exit 2
recipe=""
check_only=no
data_given=no
plan_only=no
asked=""
previous=""
for word in "$@"; do
    case $word in
    -h | --help) help; exit 0 ;;
    --check) check_only=yes ;;
    --dry-run) plan_only=yes ;;
    --data | --data=*) data_given=yes ;;
    --device=*) asked=${word#--device=} ;;
    esac
    [ "$previous" = --device ] && asked=$word
    previous=$word
done
verb=reproduce
case ${1-} in
bench | test) verb=$1; shift ;;
esac
for known in $recipes; do
    [ "${1-}" = "$known" ] && recipe=$known
done
if [ -n "$recipe" ]; then shift; else recipe=${recipes%% *}; fi
case $verb-${1-} in
reproduce- | reproduce--* | bench-* | test- | test---check) ;;
test-*) echo "error: \`test\` takes no arguments except --check" >&2; exit 2 ;;
*) echo "error: no recipe called \`$1\` in this bundle: $recipes" >&2; exit 2 ;;
esac
[ -n "$asked" ] && device=$asked

missing=0
lack() {
    missing=$((missing + 1))
    echo "missing: $1" >&2
    echo "   hint: $2" >&2
}

if [ "$(uname -s)-$(uname -m)" != Linux-x86_64 ]; then
    lack "Linux on x86-64 (this is $(uname -s) on $(uname -m))" "the programs of this bundle run only there"
    exit 2
fi

# 1. Programs and libraries, unpacked once; the folder with the programs comes last.
unpack() {
    if command -v tar >/dev/null 2>&1 && command -v "$1" >/dev/null 2>&1; then
        "$1" -dc "$2" >"$3/programs.tar" && tar -xof "$3/programs.tar" -C "$3" && rm "$3/programs.tar"
    elif command -v python3 >/dev/null 2>&1; then
        python3 -W ignore -c 'import sys, tarfile
tarfile.open(sys.argv[1]).extractall(sys.argv[2])' "$2" "$3"
    else
        return 1
    fi
}
if [ ! -d "$here/bin" ]; then
    tool=xz
    [ -f "$here/programs.tar.gz" ] && tool=gzip
    packed="$here/programs.tar.${tool%ip}"
    echo "unpacking the programs, once ..." >&2
    fresh="$here/unpacked.$$"
    if ! { mkdir "$fresh" && unpack "$tool" "$packed" "$fresh"; }; then
        rm -rf "$fresh"
        lack "the programs ($packed cannot be unpacked)" "install tar and $tool, or python3; make room on the disk; or copy the bundle again"
        exit 2
    fi
    for folder in lib tests bin; do
        [ ! -d "$fresh/$folder" ] || { rm -rf "${here:?}/$folder" && mv "$fresh/$folder" "$here/"; } || exit 2
    done
    rmdir "$fresh"
fi
if [ "$verb" = test ] && [ ! -d "$here/tests" ]; then
    echo "error: this bundle has no tests" >&2
    echo "hint: \`cargo xtask bundle --features cudnn --tests ...\` includes them" >&2
    exit 2
fi

# 2. Libraries: those of this bundle, of the CUDA toolkit, and of Python's wheels.
libraries="$here/lib"
for folder in /usr/local/cuda/lib64 /usr/local/cuda-*/lib64 /usr/lib/x86_64-linux-gnu/nvidia/current; do
    [ -d "$folder" ] && libraries="$libraries:$folder"
done
if command -v python3 >/dev/null 2>&1; then
    wheels=$(python3 -c 'import glob, site, sys
roots = site.getsitepackages() + [site.getusersitepackages()] + sys.path
print(":".join(sorted({found for root in roots if root for found in glob.glob(root + "/nvidia/*/lib")})))' 2>/dev/null)
    [ -n "$wheels" ] && libraries="$libraries:$wheels"
fi
LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export LD_LIBRARY_PATH

# 3. What is missing, all of it at once. The programs for CUDA are looked at only where a GPU was asked for by name.
absent=""
for program in "$here"/bin/* "$here"/bin/cuda/*; do
    [ -f "$program" ] || continue
    case $device-$program in
    cuda*) ;;
    *"$here"/bin/cuda/*) continue ;;
    esac
    said=$(ldd "$program" 2>&1)
    absent="$absent
$(printf '%s\n' "$said" | sed -n -e 's/^[[:space:]]*\([^ ]*\) => not found.*/\1/p' -e "s/.*\(version .GLIBC[A-Z_0-9.]*' not found\).*/\1/p")"
done
of_cuda="install the CUDA toolkit, version $cuda, or \`pip install\` the wheels of NVIDIA that contain it"
of_cudnn="install cuDNN 9 for CUDA $cuda, or \`pip install nvidia-cudnn-cu13\` (or -cu12)"
for name in $(printf '%s\n' "$absent" | sed "s/^version .\(GLIBC[A-Z_0-9.]*\). not found/\1/" | sort -u); do
    case $name in
    GLIBC*) lack "the C library: $name" "use a newer system, or make the bundle on an older one" ;;
    libcuda.so*) lack "NVIDIA's driver ($name)" "install the driver of the GPU; in a container, start it with --gpus all" ;;
    libcudnn*) lack "$name" "$of_cudnn" ;;
    libcublas* | libcurand* | libnvrtc* | libcudart*) lack "$name" "$of_cuda" ;;
    *) lack "$name" "install the package that contains it" ;;
    esac
done
# cuDNN loads its parts by name when they are needed.
found() {
    for folder in $(printf '%s' "$LD_LIBRARY_PATH" | tr ':' ' ') /lib/x86_64-linux-gnu /usr/lib/x86_64-linux-gnu /lib64 /usr/lib64; do
        [ -e "$folder/$1" ] && return 0
    done
    { ldconfig -p || /sbin/ldconfig -p; } 2>/dev/null | grep -q "$1 "
}
case $cuda-$cudnn-$device in
none-*-cuda*) lack "programs for CUDA" "this bundle is for CPUs only; \`cargo xtask bundle --features cudnn ...\` includes CUDA programs" ;;
*-yes-cuda*)
    for part in _graph _ops _cnn _heuristic _engines_precompiled _engines_runtime_compiled; do
        found libcudnn$part.so.9 || lack "libcudnn$part.so.9" "$of_cudnn"
    done
    ;;
esac
case $device in
cuda*)
    if [ ! -e /dev/nvidiactl ] && [ ! -e /dev/dxg ]; then
        lack "a visible GPU (/dev/nvidiactl)" "start a container with --gpus all; \`--device cpu\` needs no GPU"
    fi
    ;;
esac
if [ "$missing" -gt 0 ]; then
    echo "error: $missing missing; nothing was run" >&2
    exit 2
fi
if [ "$check_only" = yes ]; then
    echo "nothing is missing"
    exit 0
fi

# 4. The recipe.
cd "$here" || exit 2
LONGTAIL_BINARIES="$here/bin"
export LONGTAIL_BINARIES
if [ "$verb" = bench ]; then
    [ -z "$asked" ] && set -- "$@" --device "$device"
    exec "$here/bin/xtask" bench "$@"
fi
if [ "$verb" = test ]; then
    failed=""
    for test in "$here"/tests/*; do
        echo "$(basename "$test"):"
        # A test that finds no GPU to use says so and passes, which is no answer here.
        if said=$("$test" real_gpu --nocapture --test-threads 1 2>&1); then
            case $said in *skipped:*) failed="$failed $(basename "$test")" ;; esac
        else
            failed="$failed $(basename "$test")"
        fi
        printf '%s\n' "$said"
    done
    [ -z "$failed" ] && exit 0
    echo "error: these tests failed or found no GPU:$failed" >&2
    exit 1
fi
if [ "$data_given" = no ] && [ -d "$here/data/cifar100" ]; then
    # Once, since every stage reads the images. The file says at its beginning whether they lie plain.
    if [ "$plan_only" = no ] && ! head -c 4096 "$here/data/cifar100/cifar100.subset" | grep -q '"plain":true'; then
        echo "unpacking the images, once ..." >&2
        "$here/bin/datasets" unpack "$here/data/cifar100" >/dev/null ||
            echo "note: every stage will unpack them when it starts, which takes longer" >&2
    fi
    set -- "$@" --data "$here/data"
fi
[ -z "$asked" ] && set -- "$@" --device "$device"
exec "$here/bin/xtask" reproduce "$recipe" "$@"
