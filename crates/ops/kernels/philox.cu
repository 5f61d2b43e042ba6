// Random numbers by counter: Philox4x32-10 and Box-Muller, bit for bit what src/philox.rs makes, which says what the formulas are.
//
// Every operation is rounded on its own. The compiler would fuse `a * b + c`, so products and sums of floats are written as calls that
// it may not fuse; divisions and roots are IEEE 754's unless the compiler is told otherwise.
#include "common.cuh"

__device__ inline float rn_mul(float a, float b) { return __fmul_rn(a, b); }
__device__ inline float rn_add(float a, float b) { return __fadd_rn(a, b); }

// ln((word + 1) / 2^32)
__device__ inline float ln_fraction(unsigned word) {
    const float scale = 1.0f / 4294967296.0f;
    int bits = (int)__float_as_uint(rn_mul(rn_add((float)word, 1.0f), scale));
    int exponent = (bits - 0x3f3504f3) >> 23;
    float m = __uint_as_float((unsigned)bits - ((unsigned)exponent << 23));
    float above_one = exponent == 0 ? -rn_mul((float)~word, scale) : rn_add(m, -1.0f);
    float s = __fdiv_rn(above_one, rn_add(above_one, 2.0f));
    float z = rn_mul(s, s);
    float series = rn_add(rn_mul(z, 1.0f / 9.0f), 1.0f / 7.0f);
    series = rn_add(rn_mul(series, z), 1.0f / 5.0f);
    series = rn_add(rn_mul(series, z), 1.0f / 3.0f);
    return rn_add(rn_mul((float)exponent, 0.693147180559945309417f), rn_mul(rn_add(s, s), rn_add(rn_mul(z, series), 1.0f)));
}

// Cosine and sine of word / 2^32 turns.
__device__ inline void cos_sin_turn(unsigned word, float *cos_out, float *sin_out) {
    unsigned quarter = (word + (1u << 29)) >> 30;
    int left = (int)(word - (quarter << 30));
    float x = rn_mul((float)left, 6.28318530717958647693f / 4294967296.0f);
    float z = rn_mul(x, x);
    float sin = rn_add(rn_mul(z, 1.0f / 362880.0f), -(1.0f / 5040.0f));
    sin = rn_add(rn_mul(sin, z), 1.0f / 120.0f);
    sin = rn_add(rn_mul(sin, z), -(1.0f / 6.0f));
    sin = rn_add(x, rn_mul(x, rn_mul(z, sin)));
    float cos = rn_add(rn_mul(z, 1.0f / 40320.0f), -(1.0f / 720.0f));
    cos = rn_add(rn_mul(cos, z), 1.0f / 24.0f);
    cos = rn_add(rn_mul(cos, z), -0.5f);
    cos = rn_add(1.0f, rn_mul(z, cos));
    unsigned cos_sign = ((quarter ^ (quarter >> 1)) & 1u) << 31, sin_sign = (quarter >> 1) << 31;
    bool turned = quarter & 1u;
    *cos_out = __uint_as_float(__float_as_uint(turned ? sin : cos) ^ cos_sign);
    *sin_out = __uint_as_float(__float_as_uint(turned ? cos : sin) ^ sin_sign);
}

// Standard normals, (rows, len): element e of row r is that of number offset + e in the row's stream, `streams[r]`, or `stream` for
// all rows where there are none. A thread makes the four of one counter.
KERNEL philox_normals(float *out, int key0, int key1, const int *streams, i64 stream, i64 offset, i64 rows, i64 len) {
    int lane = (int)(offset & 3);
    i64 blocks = (lane + len + 3) / 4;
    EACH(i, rows * blocks) {
        i64 row = i / blocks, block = i - row * blocks;
        unsigned long long own = streams ? (unsigned long long)(unsigned)streams[row] : (unsigned long long)stream;
        unsigned long long counter = ((unsigned long long)offset >> 2) + (unsigned long long)block;
        unsigned c[4] = {(unsigned)counter, (unsigned)(counter >> 32), (unsigned)own, (unsigned)(own >> 32)};
        unsigned k0 = (unsigned)key0, k1 = (unsigned)key1;
        for (int round = 0; round < 10; ++round) {
            unsigned long long p0 = 0xD2511F53ull * c[0], p1 = 0xCD9E8D57ull * c[2];
            unsigned next0 = (unsigned)(p1 >> 32) ^ c[1] ^ k0, next2 = (unsigned)(p0 >> 32) ^ c[3] ^ k1;
            c[0] = next0, c[1] = (unsigned)p1, c[2] = next2, c[3] = (unsigned)p0;
            k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
        }
        float normals[4];
        for (int pair = 0; pair < 2; ++pair) {
            float radius = __fsqrt_rn(rn_mul(-2.0f, ln_fraction(c[2 * pair]))), cos, sin;
            cos_sin_turn(c[2 * pair + 1], &cos, &sin);
            normals[2 * pair] = rn_mul(radius, cos), normals[2 * pair + 1] = rn_mul(radius, sin);
        }
        for (int of = 0; of < 4; ++of) {
            i64 element = 4 * block + of - lane;
            if (element >= 0 && element < len) out[row * len + element] = normals[of];
        }
    }
}
