// Vectors as long as the weights.
#include "common.cuh"

// y += a * x
KERNEL flat_axpy(float *y, float a, const float *x, i64 len) {
    EACH(i, len) y[i] += a * x[i];
}

// One step of SGD; `decays` says of each weight whether it decays. `rate` lies on the device, so that a captured step can change it.
KERNEL flat_sgd(float *w, const float *g, float *buffer, const float *rate, float momentum, float weight_decay,
                const unsigned char *decays, int nesterov, i64 len) {
    float lr = *rate;
    EACH(i, len) {
        float gradient = g[i] + (decays[i] ? weight_decay : 0.0f) * w[i];
        float averaged = momentum * buffer[i] + gradient;
        buffer[i] = averaged;
        w[i] -= lr * (nesterov ? gradient + momentum * averaged : averaged);
    }
}

// Where a step of the optimiser would lead: kind 0 plain, 1 with momentum, 2 Nesterov's. Nothing else changes.
KERNEL flat_virtual_step(const float *w, const float *g, const float *buffer, const float *rate, float momentum,
                         float weight_decay, const unsigned char *decays, int kind, i64 len, float *out) {
    float lr = *rate;
    EACH(i, len) {
        float direction = g[i];
        if (kind > 0) {
            direction += (decays[i] ? weight_decay : 0.0f) * w[i];
            float averaged = momentum * buffer[i] + direction;
            direction = kind == 2 ? direction + momentum * averaged : averaged;
        }
        out[i] = w[i] - lr * direction;
    }
}

// One step of Adam. `corrections`: 1 - beta1^t and 1 - beta2^t.
KERNEL flat_adam(float *w, const float *g, float *m, float *v, const float *rate, float beta1, float beta2, float epsilon,
                 float shrink, float l2, const float *corrections, i64 len) {
    float lr = *rate, first = corrections[0], second = corrections[1];
    EACH(i, len) {
        float gradient = g[i] + l2 * w[i];
        m[i] = beta1 * m[i] + (1.0f - beta1) * gradient;
        v[i] = beta2 * v[i] + (1.0f - beta2) * gradient * gradient;
        w[i] = shrink * w[i] - lr * (m[i] / first) / (sqrtf(v[i] / second) + epsilon);
    }
}

// Floats as bfloat16, and back.
KERNEL flat_narrow(const float *x, i64 len, bf16 *y) {
    EACH(i, len) put(y + i, x[i]);
}

KERNEL flat_widen(const bf16 *x, i64 len, float *y) {
    EACH(i, len) y[i] = number(x[i]);
}
