#include "diffusion/guidance.h"

#include <math.h>

reel_guidance reel_guidance_default(void) {
    return (reel_guidance){.scale = 1, .to = 1};
}

reel_status reel_guidance_check(reel_env *env, const reel_guidance *g) {
    if (!(g->scale >= 0 && g->scale <= 100))
        return reel_fail(env, REEL_E_ARG, "guidance scale must be in 0..100, got %g", g->scale);
    if (!(g->rescale >= 0 && g->rescale <= 1))
        return reel_fail(env, REEL_E_ARG, "guidance rescale must be in 0..1, got %g", g->rescale);
    if (!(g->from >= 0 && g->from <= g->to && g->to <= 1))
        return reel_fail(env, REEL_E_ARG, "guidance interval must be within 0..1, got %g..%g",
                         g->from, g->to);
    return REEL_OK;
}

bool reel_guidance_acts(const reel_guidance *g, int i, int n) {
    const double progress = (double)i / n;
    return g->scale != 1 && g->from <= progress && progress < g->to;
}

/* Standard deviation over all elements, in a fixed order. */
static double deviation(int64_t n, const float *x) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i];
    const double mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++)
        squares += ((double)x[i] - mean) * ((double)x[i] - mean);
    return sqrt(squares / (double)n);
}

void reel_guidance_apply(const reel_guidance *g, int64_t n, const float *cond, const float *uncond,
                         float *out) {
    const double wanted = g->rescale > 0 && n > 0 ? deviation(n, cond) : 0;
    for (int64_t i = 0; i < n; i++)
        out[i] = (float)((double)uncond[i] + g->scale * ((double)cond[i] - (double)uncond[i]));
    if (!(g->rescale > 0) || n == 0) return;
    const double got = deviation(n, out);
    const double factor = got > 0 ? g->rescale * wanted / got + (1 - g->rescale) : 1;
    for (int64_t i = 0; i < n; i++)
        out[i] = (float)(factor * (double)out[i]);
}
