// Runs the kernels on a CPU, thread by thread, to test their arithmetic where there is no GPU: every thread of a block has a stack of
// its own and gives way to the next one at a barrier. Slow, and good for nothing else.
#include <cmath>
#include <cstdlib>
#include <csetjmp>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <type_traits>
#include <ucontext.h>
#include <utility>
#include <vector>

struct Dim { unsigned x, y, z; };
static Dim threadIdx, blockIdx, blockDim, gridDim;
static std::function<void()> body;

// A thread of a block: a stack, and where it gave way. Threads live on from block to block and from kernel to kernel.
struct Thread {
    std::vector<char> stack = std::vector<char>(64 * 1024);
    ucontext_t start;
    jmp_buf place;
    bool started = false, done = false;
};
static std::deque<Thread> threads;
static Thread *current;
static jmp_buf scheduler;

static void give_way() {
    if (!_setjmp(current->place)) _longjmp(scheduler, 1);
}

static void __syncthreads() { give_way(); }

// Operations that a compiler for GPUs may not fuse; here nothing is fused (-ffp-contract=off).
static float __fmul_rn(float a, float b) { return a * b; }
static float __fadd_rn(float a, float b) { return a + b; }
static float __fdiv_rn(float a, float b) { return a / b; }
static float __fsqrt_rn(float a) { return std::sqrt(a); }
static unsigned __float_as_uint(float value) {
    unsigned bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}
static float __uint_as_float(unsigned bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

#define __global__
#define __device__
// One block at a time, so one copy serves all of its threads.
#define __shared__ static

#include "all.cu"

static void enter() {
    for (;;) {
        body();
        current->done = true;
        give_way();
    }
}

static void resume(Thread &thread) {
    current = &thread;
    if (_setjmp(scheduler)) return;
    if (thread.started) _longjmp(thread.place, 1);
    thread.started = true;
    getcontext(&thread.start);
    thread.start.uc_stack.ss_sp = thread.stack.data();
    thread.start.uc_stack.ss_size = thread.stack.size();
    makecontext(&thread.start, enter, 0);
    setcontext(&thread.start);
}

// Every other block from its last thread to its first: where a barrier is missing, one of the two orders shows it.
static void run_block() {
    unsigned count = blockDim.x * blockDim.y;
    bool backwards = (blockIdx.x + blockIdx.y) % 2 == 1;
    while (threads.size() < count) threads.emplace_back();
    for (unsigned t = 0; t < count; ++t) threads[t].done = false;
    for (unsigned left = count; left > 0;) {
        for (unsigned turn = 0; turn < count; ++turn) {
            unsigned t = backwards ? count - 1 - turn : turn;
            if (threads[t].done) continue;
            threadIdx = {t % blockDim.x, t / blockDim.x, 0};
            resume(threads[t]);
            left -= threads[t].done;
        }
    }
}

// What an argument is: a GPU's launch takes pointers to values of these sizes, and does not know when one is another.
template <class A> static char kind() {
    if (std::is_pointer<A>::value) return 'p';
    if (std::is_floating_point<A>::value) return sizeof(A) == 4 ? 'f' : '?';
    return sizeof(A) == 4 ? 'i' : sizeof(A) == 8 ? 'l' : '?';
}

// Arguments come as a GPU's launch takes them: an array of pointers to the values.
template <class... A, size_t... I> static void call(void (*kernel)(A...), void **arguments, std::index_sequence<I...>) {
    std::tuple<A...> values;
    (std::memcpy(&std::get<I>(values), arguments[I], sizeof(A)), ...);
    body = [&] { std::apply(kernel, values); };
    for (blockIdx.y = 0; blockIdx.y < gridDim.y; ++blockIdx.y)
        for (blockIdx.x = 0; blockIdx.x < gridDim.x; ++blockIdx.x) run_block();
}

template <class... A> static std::function<void(void **)> entry(void (*kernel)(A...), std::string *kinds) {
    *kinds = {kind<A>()...};
    return [kernel](void **arguments) { call(kernel, arguments, std::index_sequence_for<A...>{}); };
}

// 0: done; 1: no such kernel; 2: other arguments, of which `kinds` has a letter each.
extern "C" int emulate(const char *name, const unsigned *grid, const unsigned *block, void **arguments, const char *kinds) {
    static std::map<std::string, std::pair<std::function<void(void **)>, std::string>> kernels;
    if (kernels.empty()) {
#define ADD(kernel) kernels[#kernel].first = entry(kernel, &kernels[#kernel].second)
        ADD(norm_running); ADD(norm_gradient_sums); ADD(norm_tangent_sums);
#define ADD_BOTH(kernel) ADD(kernel); ADD(kernel##_bf16)
        ADD_BOTH(norm_moments); ADD_BOTH(norm_statistics); ADD_BOTH(norm_apply); ADD_BOTH(norm_apply_wide);
        ADD_BOTH(norm_products); ADD_BOTH(norm_through); ADD_BOTH(norm_through_wide);
        ADD_BOTH(pool_mean); ADD_BOTH(pool_mean_gradient); ADD_BOTH(pool_max); ADD_BOTH(pool_max_gradient);
        ADD_BOTH(pool_max_tangent); ADD_BOTH(shortcut); ADD_BOTH(shortcut_gradient); ADD_BOTH(concat_part);
        ADD_BOTH(concat_part_gradient); ADD_BOTH(activations_add); ADD_BOTH(patches); ADD_BOTH(patches_gradient);
        ADD(flat_narrow); ADD(flat_widen);
        ADD(flat_axpy); ADD(flat_sgd); ADD(flat_virtual_step); ADD(flat_adam);
        ADD(cross_entropy); ADD(unit_rows); ADD(unit_rows_tangent);
        ADD(prototype_update); ADD(rows_sum);
        ADD(philox_normals); ADD(generate_means); ADD(generate_add); ADD(images_place);
    }
    auto found = kernels.find(name);
    if (found == kernels.end()) return 1;
    if (found->second.second != kinds) return 2;
    gridDim = {grid[0], grid[1], 1};
    blockDim = {block[0], block[1], 1};
    found->second.first(arguments);
    return 0;
}
