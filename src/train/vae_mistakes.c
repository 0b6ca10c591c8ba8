#include "train/vae_mistakes.h"

#include "base/rng.h"

static const char tag[] = "mistakes";
static const double least_level = 0.05, most_level = 0.65; /* above it pictures are guessed anew */

/* [z,n] of unit variance -> [n,z] raw */
static void spread(const reel_wan_vae_config *c, const float *from, int64_t n, float *to) {
    for (int64_t k = 0; k < c->z_dim; k++)
        for (int64_t i = 0; i < n; i++)
            to[i * c->z_dim + k] = from[k * n + i] * c->latents_std[k];
}

static reel_status caption(reel_env *env, const reel_mistake *m, char *text) {
    const reel_source *s = m->source;
    const uint64_t seed = m->seed, i = m->index;
    const bool chinese =
        s->has_chinese && reel_rng_below(seed, reel_rng_stream("mistake language"), i, 2);
    const uint64_t variant =
        reel_rng_below(seed, reel_rng_stream("mistake words"), i, (uint64_t)1 << 62);
    return s->caption(env, s->context, m->clip->index, m->clip->size, chinese, variant, text);
}

reel_status reel_vae_mistake(reel_env *env, const reel_mistakes *mistakes,
                             const reel_wan_vae_config *c, const reel_mistake *m, float *error) {
    char text[REEL_SOURCE_CAPTION_BYTES];
    const double u = (double)reel_rng_uniform(m->seed, reel_rng_stream("mistake level"), m->index);
    const int64_t n = mistakes->latents;
    float *e = reel_alloc(env, n * (int64_t)sizeof *e, tag);
    reel_status status = e ? caption(env, m, text) : REEL_E_NOMEM;
    if (status == REEL_OK)
        status = mistakes->make(mistakes->model, m->clip->rgb, text,
                                least_level + u * (most_level - least_level), m->index, e);
    if (status == REEL_OK) spread(c, e, n / c->z_dim, error);
    reel_free(env, e);
    return status;
}
