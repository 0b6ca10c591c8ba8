/* Heun's second-order method on rectified flow: an Euler step, then the same step again with the
 * mean of the derivatives at both ends. The last step, onto sigma 0, stays Euler's: a model is not
 * trained to say anything about clean data. (Karras et al. 2022, algorithm 1.) */
#include <string.h>

#include "diffusion/state.h"

/* history[0]: the derivative at the step's start; history[1]: x there. */
void reel_heun_step(reel_sampler *s, int i, const float *out, float *x) {
    const int step = i / 2;
    const double width = s->sigma[step + 1] - s->sigma[step];
    if (i % 2 == 0) {
        memcpy(s->history[0], out, (size_t)s->n * sizeof *out);
        memcpy(s->history[1], x, (size_t)s->n * sizeof *x);
        for (int64_t k = 0; k < s->n; k++)
            x[k] = (float)((double)x[k] + width * (double)out[k]);
        return;
    }
    for (int64_t k = 0; k < s->n; k++) {
        const double mean = ((double)s->history[0][k] + (double)out[k]) / 2;
        x[k] = (float)((double)s->history[1][k] + width * mean);
    }
}
