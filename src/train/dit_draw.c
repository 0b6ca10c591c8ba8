/* What a row of the training set holds: which clips, how much of them, how noisy, what is known,
 * and under which words. Every draw is a function of the seed and of the sample's number. */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "train/dit_state.h"
#include "train/known.h"

enum { CLIPS_A_STEP = 65536 };

static double uniform(const reel_dit_trainer *r, const char *what, uint64_t i) {
    return (double)reel_rng_uniform((uint64_t)r->recipe->run.seed, reel_rng_stream(what), i);
}
static uint64_t below(const reel_dit_trainer *r, const char *what, uint64_t i, uint64_t n) {
    return reel_rng_below((uint64_t)r->recipe->run.seed, reel_rng_stream(what), i, n);
}

/* t = sigmoid(N(mean, std)), then shifted as the samplers do it: more tokens say more about one
 * another, so the same t hides less of a larger clip; the shift grows as the root of their number.
 */
static double draw_level(const reel_dit_trainer *r, uint64_t i, int64_t n_tokens) {
    const double normal =
        (double)reel_rng_normal((uint64_t)r->recipe->run.seed, reel_rng_stream("dit level"), i);
    const double t = 1 / (1 + exp(-(r->recipe->dit.t_mean + r->recipe->dit.t_std * normal)));
    const double s =
        r->recipe->dit.shift * sqrt((double)n_tokens / (double)r->recipe->dit.shift_tokens);
    return s * t / (1 + (s - 1) * t);
}

/* Of what is known of sample i: a long video goes on from what the model made itself, which is
 * never quite clean (Diffusion Forcing, Chen et al. 2024). Half stay clean, as given files are. */
static double draw_known_noise(const reel_dit_trainer *r, uint64_t i) {
    const double u = uniform(r, "dit known noise", i);
    return u < 0.5 ? 0 : (2 * u - 1) * r->recipe->dit.known_noise;
}

/* A stored clip, perhaps cut to its first frames, so that at most `room` tokens are needed. */
static reel_latent_clip draw_clip(const reel_dit_trainer *r, const reel_row *row, uint64_t i,
                                  int64_t room) {
    const int64_t n = reel_latents_count(r->latents);
    reel_latent_clip c = reel_latents_at(r->latents, (int64_t)below(r, "dit clip", i, (uint64_t)n));
    const double kind = uniform(r, "dit length", i);
    const int64_t plane = (c.h / row->patch) * (c.w / row->patch);
    if (kind < r->recipe->dit.image_fraction)
        c.f = 1;
    else if (kind < r->recipe->dit.image_fraction + r->recipe->dit.short_fraction)
        c.f = 1 + (int64_t)below(r, "dit frames", i, (uint64_t)c.f);
    if (c.f * plane > room) c.f = room / plane;
    return c;
}

reel_status reel_dit_set_caption(reel_dit_trainer *r, reel_row *row, int64_t i, const char *text) {
    const reel_encode_options cut = {.max_tokens = row->X, .add_end = true};
    reel_tokens tokens;
    const reel_status status =
        reel_tokenizer_encode(r->tokenizer, text, (int64_t)strlen(text), &cut, &tokens);
    if (status != REEL_OK) return status;
    reel_row_set_text(row, i, tokens.id, tokens.n);
    reel_tokens_deinit(r->env, &tokens);
    return REEL_OK;
}

static reel_status draw_caption(reel_dit_trainer *r, reel_row *row, int64_t k, uint64_t i) {
    char text[REEL_SOURCE_CAPTION_BYTES] = "";
    const reel_latent_clip *c = &row->clip[k].latent;
    const reel_source *s = &r->material.train;
    reel_status status = REEL_OK;
    if (uniform(r, "dit caption", i) >= r->recipe->dit.caption_dropout)
        status = s->caption(r->env, s->context, c->index, c->size,
                            uniform(r, "dit language", i) < r->recipe->dit.chinese_fraction,
                            below(r, "dit variant", i, (uint64_t)1 << 62), text);
    return status == REEL_OK ? reel_dit_set_caption(r, row, k, text) : status;
}

/* Where the objects of clip k are, when that matters and somebody knows; of a window nobody does.
 */
static reel_status place_objects(reel_dit_trainer *r, reel_row *row, int64_t k) {
    const reel_latent_clip *c = &row->clip[k].latent;
    const reel_latents_encoder e = reel_clip_encoder_latents(r->encoder);
    const reel_source_cells cells = {
        .frames = e.factor_t, .size = e.factor_s * row->patch, .layers = c->f};
    const reel_source *s = &r->material.train;
    const bool wanted = row->object_weight != 1 || r->recipe->dit.layout > 0;
    if (!s->objects || !wanted || row->clip[k].gap) return REEL_OK;
    return s->objects(r->env, s->context, c->index, c->size, &cells, reel_row_objects(row, k));
}

/* Sample `at` as clip i of the row, with what is known of it; noise: index of its first number. */
static void put_clip(reel_dit_trainer *r, reel_row *row, int64_t i, uint64_t at, reel_latent_clip c,
                     uint64_t noise) {
    const uint64_t seed = (uint64_t)r->recipe->run.seed;
    const double fraction = r->recipe->dit.mask_fraction;
    const int64_t gap = reel_known_gap(seed, at, reel_known_kind_of(seed, at, fraction), &c.f);
    reel_row_box region;
    const uint64_t known =
        reel_known_draw(seed, at, fraction, c.f, c.h / row->patch, c.w / row->patch, &region);
    reel_row_add(row, &c, draw_level(r, at, reel_row_tokens(row, &c)), known, noise);
    reel_row_set_region(row, i, &region);
    reel_row_set_known_noise(row, i, draw_known_noise(r, at));
    reel_row_set_gap(row, i, gap);
}

/* Micro-step k of the step under way. */
reel_status reel_dit_fill_row(void *context, int64_t k) {
    reel_dit_rows *p = context;
    reel_dit_trainer *r = p->trainer;
    reel_row *row = &p->row;
    const int64_t micro = r->step * r->recipe->optimiser.accumulate + k;
    const uint64_t base = (uint64_t)micro * CLIPS_A_STEP;
    const int64_t width = row->z * row->patch * row->patch;
    int64_t room = row->T;
    reel_status status = REEL_OK;
    reel_row_clear(row);
    for (int64_t i = 0; i < row->N && status == REEL_OK; i++) {
        const uint64_t at = base + (uint64_t)i;
        const reel_latent_clip c = draw_clip(r, row, at, room);
        if (c.f < 1) break;
        const uint64_t noise = ((uint64_t)micro * (uint64_t)row->T + (uint64_t)(row->T - room)) *
                               (uint64_t)((width + 3) / 4 * 4);
        put_clip(r, row, i, at, c, noise);
        room -= reel_row_tokens(row, &row->clip[i].latent);
        status = place_objects(r, row, i);
        if (status == REEL_OK) status = draw_caption(r, row, i, at);
    }
    if (status == REEL_OK) reel_row_fill(row, (uint64_t)r->recipe->run.seed);
    return status;
}
