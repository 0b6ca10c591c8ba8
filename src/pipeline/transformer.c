#include "pipeline/transformer.h"

#include <string.h>

#include "ops/ops.h"

static const char tag_transformer[] = "transformer";

struct reel_transformer {
    reel_env *env;
    reel_transformer_options o;
    int64_t T, in_elements, out_elements; /* of one row */
    int n_texts;

    float *x;           /* [2,in,F,h,w] */
    float *text;        /* [n_texts,X,text_dim] */
    float *image;       /* [2,Y,image_dim]; NULL: none */
    float *t;           /* [2,n_groups] */
    int32_t *map;       /* [2,T]: level of each token */
    int32_t *positions; /* [T,3] */

    int n_rows; /* of the plan; 0: none */
    reel_plan *plan;
    reel_var out;
    reel_streaming streaming;
};

/* ---- life ---- */

static reel_status check(reel_env *env, const reel_transformer_options *o) {
    const reel_wan_dit_config *c = o->config;
    if (c->image_dim && o->n_image_rows < 1)
        return reel_fail(env, REEL_E_ARG, "transformer: needs rows of an image, got none");
    if (c->in_channels < c->out_channels)
        return reel_fail(env, REEL_E_ARG,
                         "transformer: gives %lld channels and takes no more than %lld",
                         (long long)c->out_channels, (long long)c->in_channels);
    const int64_t size[] = {o->F, o->h, o->w};
    for (int i = 0; i < 3; i++)
        if (size[i] < 1 || size[i] % c->patch_size[i])
            return reel_fail(env, REEL_E_ARG,
                             "transformer: latents [%lld,%lld,%lld] are no multiple of patches "
                             "[%lld,%lld,%lld]",
                             (long long)o->F, (long long)o->h, (long long)o->w,
                             (long long)c->patch_size[0], (long long)c->patch_size[1],
                             (long long)c->patch_size[2]);
    if (o->text->dim != c->text_dim)
        return reel_fail(env, REEL_E_ARG,
                         "transformer: rows of text have %lld numbers, wanted %lld",
                         (long long)o->text->dim, (long long)c->text_dim);
    for (int i = 0; i < o->text->n_prompts; i++)
        if (o->text->n[i] > o->text_length)
            return reel_fail(env, REEL_E_ARG, "transformer: %lld rows of text, at most %lld fit",
                             (long long)o->text->n[i], (long long)o->text_length);
    return REEL_OK;
}

/* planes [2,F,h,w], behind the latents */
static void fill_planes(const reel_transformer_options *o, float *planes) {
    const int64_t n = o->F * o->h * o->w;
    for (int64_t i = 0; i < n; i++) {
        planes[i] = reel_wan_dit_plane(i / o->w % o->h, o->h);
        planes[n + i] = reel_wan_dit_plane(i % o->w, o->w);
    }
}

/* What stands behind the latents, which is the same at every evaluation. */
static void fill_rest(reel_transformer *m) {
    const reel_transformer_options *o = &m->o;
    const size_t rest = (size_t)(m->in_elements - m->out_elements) * sizeof *m->x;
    const int64_t image = o->n_image_rows * o->config->image_dim;
    for (int i = 0; i < 2; i++) {
        float *behind = m->x + i * m->in_elements + m->out_elements;
        if (reel_wan_dit_has_planes(o->config))
            fill_planes(o, behind);
        else if (o->condition)
            memcpy(behind, o->condition, rest);
        if (o->image) memcpy(m->image + i * image, o->image, (size_t)image * sizeof *m->image);
    }
}

static reel_status allocate(reel_transformer *m) {
    const reel_transformer_options *o = &m->o;
    const int64_t text = o->text_length * o->text->dim;
    const int64_t image = o->n_image_rows * o->config->image_dim;
    m->x = reel_calloc(m->env, 2 * m->in_elements, sizeof *m->x, tag_transformer);
    if (image) m->image = reel_calloc(m->env, 2 * image, sizeof *m->image, tag_transformer);
    if (image && !m->image) return REEL_E_NOMEM;
    m->text = reel_calloc(m->env, m->n_texts * text, sizeof *m->text, tag_transformer);
    m->t = reel_calloc(m->env, 2 * o->n_groups, sizeof *m->t, tag_transformer);
    m->map = reel_calloc(m->env, 2 * m->T, sizeof *m->map, tag_transformer);
    m->positions = reel_calloc(m->env, 3 * m->T, sizeof *m->positions, tag_transformer);
    if (!m->x || !m->text || !m->t || !m->map || !m->positions) return REEL_E_NOMEM;
    for (int i = 0; i < m->n_texts; i++)
        memcpy(m->text + i * text, o->text->row[i],
               (size_t)(o->text->n[i] * o->text->dim) * sizeof *m->text);
    const int64_t *patch = o->config->patch_size;
    reel_wan_dit_positions(o->F / patch[0], o->h / patch[1], o->w / patch[2], m->positions);
    fill_rest(m);
    return REEL_OK;
}

reel_status reel_transformer_new(reel_env *env, const reel_transformer_options *options,
                                 reel_transformer **transformer) {
    reel_status status = check(env, options);
    if (status != REEL_OK) return status;
    reel_transformer *m = reel_calloc(env, 1, sizeof *m, tag_transformer);
    if (!m) return REEL_E_NOMEM;
    const reel_wan_dit_config *c = options->config;
    const int64_t positions = options->F * options->h * options->w;
    *m = (reel_transformer){.env = env,
                            .o = *options,
                            .T = positions /
                                 (c->patch_size[0] * c->patch_size[1] * c->patch_size[2]),
                            .in_elements = c->in_channels * positions,
                            .out_elements = c->out_channels * positions,
                            .n_texts = options->text->n_prompts};
    status = allocate(m);
    m->o.text = NULL; /* copied */
    m->o.condition = m->o.image = NULL;
    if (status == REEL_OK)
        *transformer = m;
    else
        reel_transformer_free(&m);
    return status;
}

static void drop_plan(reel_transformer *m) {
    reel_streaming_deinit(&m->streaming);
    reel_plan_free(&m->plan);
    m->n_rows = 0;
}

void reel_transformer_free(reel_transformer **transformer) {
    reel_transformer *m = *transformer;
    if (!m) return;
    drop_plan(m);
    reel_free(m->env, m->x);
    reel_free(m->env, m->text);
    reel_free(m->env, m->image);
    reel_free(m->env, m->t);
    reel_free(m->env, m->map);
    reel_free(m->env, m->positions);
    reel_free(m->env, m);
    *transformer = NULL;
}

int64_t reel_transformer_tokens(const reel_transformer *m) {
    return m->T;
}

/* ---- the plan ---- */

/* Rows share their levels, unless levels know their row's text. */
static int64_t levels(const reel_transformer *m, int64_t B) {
    return m->o.n_groups * (m->o.config->pooled_text ? B : 1);
}

static reel_var record(reel_transformer *m, reel_tape *tape, int64_t B) {
    const reel_transformer_options *o = &m->o;
    const reel_wan_dit_config *c = o->config;
    reel_params_begin_recording(o->params);
    reel_nn nn = reel_nn_start(tape, o->params, o->compute);
    nn.q8 = o->q8;
    reel_wan_dit_input input = {
        .positions =
            reel_tape_input(tape, REEL_I32, REEL_SHAPE(m->T, 3), "positions", m->positions),
        .t = reel_tape_input(tape, REEL_F32, REEL_SHAPE(levels(m, B)), "t", m->t),
        .text = reel_tape_input(tape, REEL_F32, REEL_SHAPE(B, o->text_length, c->text_dim), "text",
                                m->text)};
    if (c->image_dim)
        input.image = reel_tape_input(tape, REEL_F32, REEL_SHAPE(B, o->n_image_rows, c->image_dim),
                                      "image", m->image);
    if (o->n_groups > 1)
        input.map = reel_tape_input(tape, REEL_I32, REEL_SHAPE(B * m->T), "map", m->map);
    const reel_var x = reel_tape_input(
        tape, REEL_F32, REEL_SHAPE(B, c->in_channels, o->F, o->h, o->w), "latents", m->x);
    const reel_var out = reel_wan_dit(&nn, c, x, &input); /* [B,out,F,h,w] */
    reel_tape_keep(tape, out);
    return out;
}

/* Makes the plan fit batches of n_rows. The old plan's memory is given back first. */
static reel_status fit_plan(reel_transformer *m, int n_rows) {
    if (m->n_rows == n_rows) return REEL_OK;
    drop_plan(m);
    reel_tape *tape;
    reel_status status = reel_ops_tape_new(m->env, &tape);
    if (status != REEL_OK) return status;
    m->out = record(m, tape, n_rows);
    reel_plan_options options = reel_plan_options_default();
    options.dry = m->o.dry;
    status = reel_plan_new(tape, m->o.table, &options, &m->plan);
    reel_tape_free(&tape);
    if (status == REEL_OK)
        status = reel_streaming_init(m->env, m->o.files, m->o.params, m->plan, m->o.tick,
                                     m->o.tick_context, &m->streaming);
    if (status == REEL_OK)
        m->n_rows = n_rows;
    else
        drop_plan(m);
    return status;
}

reel_status reel_transformer_plan(reel_transformer *m, int n_rows, reel_plan **plan) {
    const reel_status status = fit_plan(m, n_rows);
    if (status == REEL_OK) *plan = m->plan;
    return status;
}

/* ---- an evaluation ---- */

/* The level of each token: that of the first position of its patch. */
static void map_tokens(reel_transformer *m, const int32_t *group) {
    const reel_transformer_options *o = &m->o;
    const int32_t second = o->config->pooled_text ? o->n_groups : 0; /* row's first level */
    const int64_t *patch = o->config->patch_size;
    for (int64_t i = 0; i < m->T; i++) {
        const int32_t *at = m->positions + 3 * i;
        const int64_t position =
            (at[0] * patch[0] * o->h + at[1] * patch[1]) * o->w + at[2] * patch[2];
        m->map[i] = group[position];
        m->map[m->T + i] = second + group[position];
    }
}

/* v = (x_t - x0) / t on x_t = (1 - t) x0 + t eps, in place. What is clean has no velocity to speak
 * of, and none is read: the driver holds it. The query's x may be what out has overwritten. */
static void to_velocity(const reel_transformer *m, const reel_denoise_query *q, float *out) {
    const int64_t positions = m->o.F * m->o.h * m->o.w;
    for (int64_t i = 0; i < m->out_elements; i++) {
        const double t = q->sigma[q->group[i % positions]];
        out[i] = t > 0 ? (float)(((double)m->x[i] - (double)out[i]) / t) : 0;
    }
}

reel_status reel_transformer_evaluate(void *context, const reel_denoise_query *q, float *cond,
                                      float *uncond) {
    reel_transformer *m = context;
    const int n_rows = q->guided ? 2 : 1;
    if (q->n_groups != m->o.n_groups || n_rows > m->n_texts)
        return reel_fail(m->env, REEL_E_ARG,
                         "transformer: made for %d levels and %d prompts, asked for %d and %d",
                         m->o.n_groups, m->n_texts, q->n_groups, n_rows);
    for (int i = 0; i < n_rows; i++)
        memcpy(m->x + i * m->in_elements, q->x, (size_t)m->out_elements * sizeof *m->x);
    for (int g = 0; g < q->n_groups; g++)
        m->t[g] = m->t[q->n_groups + g] = (float)q->timestep[g];
    map_tokens(m, q->group);
    reel_status status = fit_plan(m, n_rows);
    if (status == REEL_OK) status = reel_plan_run(m->plan, NULL);
    if (status != REEL_OK) return status;
    const float *out = reel_plan_data(m->plan, m->out);
    const size_t bytes = (size_t)m->out_elements * sizeof *out;
    memcpy(cond, out, bytes);
    if (q->guided) memcpy(uncond, out + m->out_elements, bytes);
    if (!m->o.gives_sample) return REEL_OK;
    to_velocity(m, q, cond);
    if (q->guided) to_velocity(m, q, uncond);
    return REEL_OK;
}
