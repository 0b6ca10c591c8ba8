#include "pipeline/text_rows.h"

#include <math.h>
#include <string.h>

#include "ops/ops.h"

static const char tag_text[] = "text rows";

/* A batch of prompts, B = n_prompts rows of T columns. */
typedef struct reel_text_batch {
    int64_t B, T;
    int32_t *ids;     /* [B,T] */
    uint8_t *mask;    /* [B,T] */
    int32_t *buckets; /* [T,T] */
} batch;

static void batch_deinit(reel_env *env, batch *b) {
    reel_free(env, b->ids);
    reel_free(env, b->mask);
    reel_free(env, b->buckets);
    *b = (batch){0};
}

static reel_status batch_init(reel_env *env, const reel_t5_config *config, int64_t B, int64_t T,
                              batch *b) {
    *b = (batch){.B = B, .T = T};
    b->ids = reel_calloc(env, B * T, sizeof *b->ids, tag_text);
    b->mask = reel_calloc(env, B * T, sizeof *b->mask, tag_text);
    b->buckets = reel_calloc(env, T * T, sizeof *b->buckets, tag_text);
    if (!b->ids || !b->mask || !b->buckets) {
        batch_deinit(env, b);
        return REEL_E_NOMEM;
    }
    reel_t5_buckets(config, T, b->buckets);
    return REEL_OK;
}

/* Records the encoder on a batch and plans it; *out is the value that holds the rows. */
static reel_status make_plan(reel_env *env, const reel_text_encoder *e, const batch *b, bool dry,
                             reel_var *out, reel_plan **plan) {
    reel_tape *tape;
    reel_status status = reel_ops_tape_new(env, &tape);
    if (status != REEL_OK) return status;
    reel_params_begin_recording(e->params);
    reel_nn nn = reel_nn_start(tape, e->params, e->compute);
    const reel_t5_input input = {
        .ids = reel_tape_input(tape, REEL_I32, REEL_SHAPE(b->B, b->T), "ids", b->ids),
        .buckets = reel_tape_input(tape, REEL_I32, REEL_SHAPE(b->T, b->T), "buckets", b->buckets),
        .key_mask = reel_tape_input(tape, REEL_U8, REEL_SHAPE(b->B, b->T), "mask", b->mask)};
    *out = reel_t5(&nn, e->config, &input); /* [B,T,C] */
    reel_tape_keep(tape, *out);
    reel_plan_options options = reel_plan_options_default();
    options.dry = dry;
    status = reel_plan_new(tape, e->table, &options, plan);
    reel_tape_free(&tape);
    return status;
}

static reel_status run(reel_env *env, const reel_text_encoder *e, reel_plan *plan) {
    reel_streaming streaming = {0};
    reel_status status =
        reel_streaming_init(env, e->files, e->params, plan, e->tick, e->tick_context, &streaming);
    if (status == REEL_OK) status = reel_plan_run(plan, NULL);
    reel_streaming_deinit(&streaming);
    return status;
}

static reel_status take_rows(reel_env *env, const batch *b, const float *out,
                             reel_text_rows *rows) {
    for (int i = 0; i < rows->n_prompts; i++) {
        const int64_t n = rows->n[i] * rows->dim;
        for (int64_t k = 0; k < n; k++)
            if (!isfinite(out[i * b->T * rows->dim + k]))
                return reel_fail(env, REEL_E_FORMAT,
                                 "the text encoder gives numbers that are not finite: its weights "
                                 "are damaged");
        rows->row[i] = reel_alloc(env, n * (int64_t)sizeof *out, tag_text);
        if (!rows->row[i]) return REEL_E_NOMEM;
        memcpy(rows->row[i], out + i * b->T * rows->dim, (size_t)n * sizeof *out);
    }
    return REEL_OK;
}

static reel_status fill(reel_env *env, const reel_text_encoder *e, const int32_t *const *ids,
                        const int64_t *n, batch *b) {
    for (int64_t i = 0; i < b->B; i++) {
        for (int64_t k = 0; k < n[i]; k++) {
            if (ids[i][k] < 0 || ids[i][k] >= e->config->vocab_size)
                return reel_fail(
                    env, REEL_E_ARG,
                    "text encoder: id %d of a prompt is outside its vocabulary of %lld",
                    (int)ids[i][k], (long long)e->config->vocab_size);
            b->ids[i * b->T + k] = ids[i][k];
            b->mask[i * b->T + k] = 1;
        }
    }
    return REEL_OK;
}

reel_status reel_text_rows_encode(reel_env *env, const reel_text_encoder *e, int n_prompts,
                                  const int32_t *const *ids, const int64_t *n,
                                  reel_text_rows *rows) {
    int64_t longest = 0;
    for (int i = 0; i < n_prompts; i++)
        if (n[i] > longest) longest = n[i];
    batch b = {0};
    reel_plan *plan = NULL;
    reel_var out = 0;
    reel_text_rows made = {.n_prompts = n_prompts, .dim = e->config->d_model};
    memcpy(made.n, n, (size_t)n_prompts * sizeof *n);
    reel_status status = batch_init(env, e->config, n_prompts, longest, &b);
    if (status == REEL_OK) status = fill(env, e, ids, n, &b);
    if (status == REEL_OK) status = make_plan(env, e, &b, false, &out, &plan);
    if (status == REEL_OK) status = run(env, e, plan);
    if (status == REEL_OK) status = take_rows(env, &b, reel_plan_data(plan, out), &made);
    if (status == REEL_OK)
        *rows = made;
    else
        reel_text_rows_deinit(env, &made);
    reel_plan_free(&plan);
    batch_deinit(env, &b);
    return status;
}

void reel_text_rows_deinit(reel_env *env, reel_text_rows *rows) {
    for (int i = 0; i < REEL_MAX_PROMPTS; i++)
        reel_free(env, rows->row[i]);
    *rows = (reel_text_rows){0};
}

reel_status reel_text_rows_plan(reel_env *env, const reel_text_encoder *e, int n_prompts,
                                int64_t longest, bool dry, reel_text_batch **made,
                                reel_plan **plan) {
    batch *b = reel_calloc(env, 1, sizeof *b, tag_text);
    if (!b) return REEL_E_NOMEM;
    reel_var out;
    reel_status status = batch_init(env, e->config, n_prompts, longest, b);
    if (status == REEL_OK) {
        memset(b->mask, 1, (size_t)(b->B * b->T));
        status = make_plan(env, e, b, dry, &out, plan);
    }
    *made = b;
    if (status != REEL_OK) reel_text_rows_unplan(env, made, plan);
    return status;
}

void reel_text_rows_unplan(reel_env *env, reel_text_batch **b, reel_plan **plan) {
    reel_plan_free(plan);
    if (!*b) return;
    batch_deinit(env, *b);
    reel_free(env, *b);
    *b = NULL;
}
