#include "pipeline/deblock.h"

static const char tag[] = "deblock";

reel_status reel_deblock_init(reel_env *env, int64_t n, int64_t period, double share,
                              reel_deblock *d) {
    *d = (reel_deblock){.env = env, .n = n, .period = period, .share = (float)share};
    d->shown = reel_calloc(env, n, sizeof *d->shown, tag);
    d->off = reel_calloc(env, n, sizeof *d->off, tag);
    return d->shown && d->off ? REEL_OK : REEL_E_NOMEM;
}

void reel_deblock_deinit(reel_deblock *d) {
    if (!d->env) return;
    reel_free(d->env, d->shown);
    reel_free(d->env, d->off);
    *d = (reel_deblock){0};
}

/* What of the step onto a latent frame is the code's. */
static void take_step(reel_deblock *d, const uint8_t *picture) {
    for (int64_t i = 0; i < d->n; i++) {
        const float o = (float)picture[i] - d->shown[i], far = o / REEL_DEBLOCK_LEVELS;
        d->off[i] = d->share * o / (1 + far * far);
    }
}

void reel_deblock_frame(reel_deblock *d, int64_t frame, uint8_t *picture) {
    const int64_t j = frame ? (frame - 1) % d->period : 0;
    if (frame && !j) take_step(d, picture);
    const float left = frame ? 1 - (float)j / (float)d->period : 0;
    for (int64_t i = 0; i < d->n; i++) {
        const float z = (float)picture[i] - left * d->off[i], level = z + 0.5f;
        d->shown[i] = z;
        picture[i] = (uint8_t)(level < 0 ? 0 : level > 255 ? 255 : level);
    }
}
