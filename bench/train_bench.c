/* A whole training step of a DiT: forward, backward and optimiser on one tape. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "models/dit/dit.h"
#include "ops/loss.h"
#include "ops/optim.h"

/* Latents of 4 channels, patches of 2: T = H/2 W/2 tokens. */
typedef struct train_case {
    const char *shape;
    int64_t depth, C, N, B, H, W;
} train_case;

static const train_case cases[] = {
    {"DiT 12 x 256, 4 heads, 320 tokens, batch 8", 12, 256, 4, 8, 32, 40},
    {"DiT 6 x 192, 3 heads, 80 tokens, batch 64", 6, 192, 3, 64, 16, 20},
};

typedef struct trainer {
    bench *b;
    reel_tape *tape;
    reel_params *params;
    reel_plan *plan;
    void *x, *target, *t, *y;
    float *state; /* master weights and both moments of every parameter, one after another */
    float hyper[REEL_ADAMW_HYPER], most[1];
} trainer;

static bool ok(const bench *b, reel_status status) {
    if (status != REEL_OK) printf("train: %s\n", reel_env_message(b->env));
    return status == REEL_OK;
}

/* AdamW on every parameter, after the norm of all gradients is clipped to 1. bf16 weights are
 * copies of f32 masters. */
static void record_optimiser(trainer *r) {
    const int n = reel_params_count(r->params);
    reel_var *grad = calloc((size_t)n, sizeof *grad);
    const reel_var most = reel_tape_input(r->tape, REEL_F32, (reel_shape){0}, "most", r->most);
    const reel_var hyper =
        reel_tape_input(r->tape, REEL_F32, REEL_SHAPE(REEL_ADAMW_HYPER), "hyper", r->hyper);
    for (int i = 0; grad && i < n; i++)
        grad[i] = reel_tape_grad(r->tape, reel_params_at(r->params, i)->var);
    const reel_var clip = grad ? reel_grad_clip(r->tape, grad, n, most) : 0;
    float *state = r->state;
    for (int i = 0; grad && i < n; i++) {
        const reel_param *p = reel_params_at(r->params, i);
        const int64_t count = reel_shape_count(&p->shape);
        const bool narrow = p->dtype == REEL_BF16;
        reel_var part[3]; /* master, m, v */
        for (int k = 0; k < 3; k++, state += count)
            part[k] = reel_tape_input(r->tape, REEL_F32, p->shape, "state", state);
        reel_adamw(r->tape, &(reel_adamw_operands){.w = narrow ? part[0] : p->var,
                                                   .m = part[1],
                                                   .v = part[2],
                                                   .grad = grad[i],
                                                   .hyper = hyper,
                                                   .clip = clip,
                                                   .copy = narrow ? p->var : 0});
    }
    free(grad);
}

/* Records forward, loss, backward and optimiser; the store is open the first time. */
static void record(trainer *r, const train_case *c, reel_dtype dtype) {
    const reel_dit_config config = {.patch_size = 2,
                                    .in_channels = 4,
                                    .hidden_size = c->C,
                                    .depth = c->depth,
                                    .num_heads = c->N,
                                    .mlp_ratio = 4,
                                    .num_classes = 1000};
    const reel_shape shape = REEL_SHAPE(c->B, 4, c->H, c->W), batch = REEL_SHAPE(c->B);
    reel_tape_reset(r->tape);
    reel_tape_set_training(r->tape, true);
    reel_nn nn = reel_nn_start(r->tape, r->params, dtype);
    const reel_dit_input input = {.x = reel_tape_input(r->tape, REEL_F32, shape, "x", r->x),
                                  .t = reel_tape_input(r->tape, REEL_F32, batch, "t", r->t),
                                  .y = reel_tape_input(r->tape, REEL_I64, batch, "y", r->y)};
    const reel_var target = reel_tape_input(r->tape, REEL_F32, shape, "target", r->target);
    const reel_var loss = reel_mse(r->tape, reel_dit(&nn, &config, &input), target, 0);
    reel_tape_keep(r->tape, loss);
    reel_tape_backward(r->tape, loss);
    if (r->state) record_optimiser(r);
}

static bool open_trainer(trainer *r, bench *b, const train_case *c, reel_dtype dtype) {
    const int64_t n = c->B * 4 * c->H * c->W;
    *r = (trainer){.b = b,
                   .x = bench_random(REEL_F32, n, -1, 1),
                   .target = bench_random(REEL_F32, n, -1, 1),
                   .t = bench_random(REEL_F32, c->B, 0, 1000),
                   .y = bench_random(REEL_I64, c->B, 0, 1000)};
    if (!ok(b, reel_ops_tape_new(b->env, &r->tape))) return false;
    if (!ok(b, reel_params_new(b->env, &r->params))) return false;
    record(r, c, dtype);
    if (!ok(b, reel_params_initialise(r->params, 1))) return false;
    r->state = bench_random(REEL_F32, 3 * reel_params_elements(r->params), 0, 1e-3);
    r->most[0] = 1;
    reel_adamw_options options = reel_adamw_options_default();
    options.lr = 1e-4;
    reel_adamw_hyper(&options, 1, r->hyper);
    record(r, c, dtype);
    return ok(b, reel_plan_new(r->tape, b->table, NULL, &r->plan));
}

static void close_trainer(trainer *r) {
    reel_plan_free(&r->plan);
    reel_tape_free(&r->tape);
    reel_params_free(&r->params);
    free(r->state);
    free(r->x);
    free(r->target);
    free(r->t);
    free(r->y);
}

static void step(void *context) {
    trainer *r = context;
    if (reel_plan_run(r->plan, NULL) != REEL_OK) printf("train: %s\n", reel_env_message(r->b->env));
}

static void print_line(void *context, const char *line) {
    int *left = context;
    if ((*left)-- > 0) printf("    %s\n", line);
}

/* Where the time goes: the plan once more, each record by itself. */
static void print_profile(trainer *r) {
    const reel_plan_stats stats = reel_plan_get_stats(r->plan);
    reel_profile_row *rows = calloc((size_t)stats.n_records, sizeof *rows);
    int left = 12;
    if (rows && reel_plan_run(r->plan, rows) == REEL_OK)
        reel_profile_write(rows, stats.n_records, print_line, &left);
    printf(
        "    %d records, arena %.1f MiB (%.1f MiB without reuse), %lld allocations in all runs\n",
        stats.n_records, (double)stats.planned_bytes / 1048576, (double)stats.sum_bytes / 1048576,
        (long long)stats.n_run_allocations);
    free(rows);
}

static void run_case(bench *b, const train_case *c, reel_dtype dtype) {
    trainer r;
    if (open_trainer(&r, b, c, dtype)) {
        const bench_row row = {.kernel = "training step",
                               .shape = c->shape,
                               .dtype = reel_dtype_name(dtype),
                               .limit = dtype == REEL_BF16 ? BENCH_BF16 : BENCH_FMA,
                               .flops = reel_plan_get_stats(r.plan).flops,
                               .time = bench_measure(b, step, &r)};
        bench_print_row(b, &row);
        print_profile(&r);
    }
    close_trainer(&r);
}

void bench_train(bench *b) {
    bench_print_head(b, "training step (products and attention counted, everything timed)", NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run_case(b, &cases[i], REEL_BF16);
        run_case(b, &cases[i], REEL_F32);
    }
}
