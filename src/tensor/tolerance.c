#include "tensor/tolerance.h"

#include <math.h>
#include <stdbool.h>

double reel_tol(reel_dtype dtype, int64_t n) {
    static const double roundoff[REEL_DTYPE_COUNT] = {
        [REEL_F32] = 0x1p-24, [REEL_BF16] = 0x1p-8, [REEL_F16] = 0x1p-11};
    if (!reel_dtype_is_float(dtype)) return 0.0;
    return 4.0 * (roundoff[dtype] + roundoff[REEL_F32] * sqrt((double)n));
}

static bool same_not_finite(float a, float b) {
    return (isnan(a) && isnan(b)) || (isinf(a) && a == b);
}

double reel_relative_l2(reel_dtype dtype, const void *got, const void *wanted, int64_t n) {
    double difference = 0.0;
    double size = 0.0;
    for (int64_t i = 0; i < n; i++) {
        const float a = reel_dtype_load(dtype, got, i);
        const float b = reel_dtype_load(dtype, wanted, i);
        if (same_not_finite(a, b)) continue;
        if (!isfinite(a) || !isfinite(b)) return (double)INFINITY;
        const double d = (double)a - (double)b;
        difference += d * d;
        size += (double)b * (double)b;
    }
    return size > 0.0 ? sqrt(difference / size) : sqrt(difference);
}
