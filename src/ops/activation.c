#include "ops/activation.h"

#include <math.h>

static const double gelu_k = 0.79788456080286535588; /* sqrt(2 / pi) */
static const double gelu_c = 0.044715;
static const double sqrt_half = 0.70710678118654752440;
static const double inv_sqrt_2pi = 0.39894228040143267794;

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

double reel_activation_value(reel_activation f, double x) {
    switch (f) {
    case REEL_ACT_GELU_TANH:
        return 0.5 * x * (1 + tanh(gelu_k * (x + gelu_c * x * x * x)));
    case REEL_ACT_GELU_ERF:
        return 0.5 * x * (1 + erf(x * sqrt_half));
    case REEL_ACT_SILU:
        return x * sigmoid(x);
    default:
        return x;
    }
}

double reel_activation_slope(reel_activation f, double x) {
    switch (f) {
    case REEL_ACT_GELU_TANH: {
        const double t = tanh(gelu_k * (x + gelu_c * x * x * x));
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * gelu_k * (1 + 3 * gelu_c * x * x);
    }
    case REEL_ACT_GELU_ERF:
        return 0.5 * (1 + erf(x * sqrt_half)) + x * inv_sqrt_2pi * exp(-0.5 * x * x);
    case REEL_ACT_SILU: {
        const double s = sigmoid(x);
        return s * (1 + x * (1 - s));
    }
    default:
        return 1;
    }
}

const char *reel_activation_name(reel_activation f) {
    static const char *const name[REEL_ACT_COUNT] = {"none", "gelu_tanh", "gelu_erf", "silu"};
    return name[f];
}
