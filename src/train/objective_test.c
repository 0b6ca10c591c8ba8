/* Every objective trains: a transformer of one block on a few latents, packed into rows. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/rng.h"
#include "cpu/cpu.h"
#include "diffusion/sampler.h"
#include "models/wan/dit.h"
#include "ops/layout.h"
#include "support/op_check.h"
#include "train/learner.h"
#include "train/row.h"

enum { Z = 4, T = 64, N = 6, X = 2, TEXT = 8, STEPS = 120, WINDOW = 15, CLIPS = 3 };

typedef struct toy {
    reel_env *env;
    reel_row row;
    reel_wan_dit_config config;
    bool layout; /* is all there is to learn */
    float text[N * X * TEXT];
    reel_bf16 data[CLIPS][3 * 4 * 4 * Z];
    reel_var prediction;
    reel_kernel_table *table;
    reel_learner *learner;
    reel_program *program;
} toy;

static reel_var record(void *context, reel_nn *nn) {
    toy *y = context;
    reel_tape *t = nn->tape;
    const reel_row *row = &y->row;
    const int64_t width = Z * 4;
    reel_var middle = 0;
    const reel_wan_dit_input in = {
        .middle = &middle,
        .positions = reel_tape_input(t, REEL_I32, REEL_SHAPE(T, 3), "positions", row->positions),
        .t = reel_tape_input(t, REEL_F32, REEL_SHAPE(2 * N), "levels", row->level),
        .map = reel_tape_input(t, REEL_I32, REEL_SHAPE(T), "map", row->map),
        .text = reel_tape_input(t, REEL_F32, REEL_SHAPE(1, N * X, TEXT), "text", y->text),
        .offsets = reel_tape_input(t, REEL_I32, REEL_SHAPE(N + 2), "offsets", row->offsets),
        .text_offsets =
            reel_tape_input(t, REEL_I32, REEL_SHAPE(N + 2), "text offsets", row->text_offsets)};
    const reel_shape s = REEL_SHAPE(1, T, width);
    const reel_var tokens = reel_tape_input(t, REEL_F32, s, "tokens", row->tokens);
    y->prediction = reel_wan_dit_tokens(nn, &y->config, tokens, &in);
    reel_tape_keep(t, y->prediction);
    if (y->layout) return reel_row_layout_loss(nn, row, middle);
    return reel_row_loss(t, row, y->prediction, 1e-3f);
}

/* Clips of one, two and three frames, at random levels; every third has its first frame known. */
static void fill(toy *y, int step) {
    reel_row_clear(&y->row);
    for (int i = 0; i < N; i++) {
        const uint64_t at = (uint64_t)(step * N + i);
        const reel_latent_clip clip = {.f = 1 + (int64_t)at % 3,
                                       .h = 4,
                                       .w = 4,
                                       .data = y->data[reel_rng_below(5, 1, at, CLIPS)]};
        reel_row_add(&y->row, &clip, 0.02 + 0.96 * (double)reel_rng_uniform(5, 2, at), clip.f == 3,
                     at * 4096);
        if (y->layout && i != 1) /* of one clip nobody knows */
            for (int64_t k = 0; k < clip.f * 4; k++)
                reel_row_objects(&y->row, i)[k] = k % 2 ? 0x35 : 0; /* on the right */
    }
    reel_row_fill(&y->row, 5);
}

static void open_toy(toy *y, reel_objective objective, int n_clips) {
    reel_learner_options o = reel_learner_options_default();
    y->env = op_test_env(2);
    y->config = reel_wan_dit_config_default();
    y->config.num_attention_heads = 2;
    y->config.attention_head_dim = 16;
    y->config.in_channels = Z;
    y->config.out_channels = objective == REEL_OBJECTIVE_LEARNED ? 2 * Z : Z;
    y->config.text_dim = TEXT;
    y->config.freq_dim = 32;
    y->config.ffn_dim = 64;
    y->config.num_layers = 1;
    for (int c = 0; c < CLIPS; c++)
        for (int i = 0; i < 3 * 4 * 4 * Z; i++)
            y->data[c][i] =
                reel_f32_to_bf16(reel_rng_normal(9, (uint64_t)(c % n_clips), (uint64_t)(i % Z)));
    o.rule[0] = (reel_rule){"blocks.*.weight", REEL_METHOD_MUON, 0.01, 0};
    o.rule[1] = (reel_rule){"*", REEL_METHOD_ADAMW, 0.01, 0};
    o.n_rules = 2;
    assert_int_equal(reel_cpu_table(y->env, REEL_ISA_AMX, &y->table), REEL_OK);
    const reel_row_options sizes = {
        .T = T, .N = N, .X = X, .z = Z, .patch = 2, .objective = objective};
    assert_int_equal(reel_row_init(y->env, &sizes, &y->row), REEL_OK);
    assert_int_equal(reel_learner_new(y->env, y->table, &o, &y->learner), REEL_OK);
    assert_int_equal(reel_learner_declare(y->learner, record, y), REEL_OK);
    assert_int_equal(reel_learner_begin(y->learner, 1), REEL_OK);
    assert_int_equal(reel_program_new(y->learner, REEL_PROGRAM_TRAIN, record, y, &y->program),
                     REEL_OK);
}

static void close_toy(toy *y) {
    reel_program_free(&y->program);
    reel_learner_free(&y->learner);
    reel_row_deinit(&y->row);
    reel_kernel_table_free(y->env, &y->table);
    reel_env_free(&y->env);
}

/* The mean loss of the first and the last WINDOW steps. */
static void train(toy *y, int steps, double *first, double *last) {
    *first = *last = 0;
    for (int s = 0; s < steps; s++) {
        reel_step_result r;
        fill(y, s);
        assert_int_equal(reel_program_step(y->program, 1, NULL, &r), REEL_OK);
        if (s < WINDOW) *first += r.loss / WINDOW;
        if (s >= steps - WINDOW) *last += r.loss / WINDOW;
    }
}

/* Data of three points: what is left to learn is nearly nothing, so the loss falls to a fraction.
 */
static void expect_learning(reel_objective objective, double share) {
    static toy y;
    double first, last;
    y.layout = false;
    open_toy(&y, objective, CLIPS);
    train(&y, STEPS, &first, &last);
    close_toy(&y);
    if (!(last < share * first)) fail_msg("from %g to %g", first, last);
}

/* What stands where follows from the place alone. At first all labels are as likely. */
static void test_objective_layout_is_learned_half_way(void **state) {
    (void)state;
    static toy y;
    double first, last;
    reel_step_result r;
    y.layout = true;
    open_toy(&y, REEL_OBJECTIVE_FLOW, CLIPS);
    fill(&y, 0);
    assert_int_equal(reel_program_step(y.program, 0, NULL, &r), REEL_OK);
    assert_true(fabs(r.loss - log(REEL_SOURCE_LABELS)) < 1e-5);
    train(&y, STEPS, &first, &last);
    close_toy(&y);
    if (!(last < 0.25 * first)) fail_msg("from %g to %g", first, last);
}

static void test_objective_flow_trains(void **state) {
    (void)state;
    expect_learning(REEL_OBJECTIVE_FLOW, 0.5);
}

static void test_objective_sample_trains(void **state) {
    (void)state;
    expect_learning(REEL_OBJECTIVE_SAMPLE, 0.5);
}

static void test_objective_epsilon_trains(void **state) {
    (void)state;
    expect_learning(REEL_OBJECTIVE_EPSILON, 0.5);
}

static void test_objective_v_trains(void **state) {
    (void)state;
    expect_learning(REEL_OBJECTIVE_V, 0.5);
}

/* The bound has no floor at 0, since densities have no ceiling at 1; so that what falls is what
 * should, the error of the noise, which is L_simple, is looked at as well. */
static void test_objective_learned_trains(void **state) {
    (void)state;
    static toy y;
    double first, last;
    open_toy(&y, REEL_OBJECTIVE_LEARNED, CLIPS);
    train(&y, STEPS, &first, &last);
    if (!(last < first - 0.3)) fail_msg("from %g to %g", first, last);
    double error = 0;
    for (int i = 0; i < N; i++)
        error += reel_row_error(&y.row, reel_program_data(y.program, y.prediction), i) / N;
    if (!(error < 0.5)) fail_msg("the noise is missed by %g", error);
    close_toy(&y);
}

/* ---- sampling with a learned variance ---- */

enum { SAMPLE = 2 * 2 * 4 * Z }; /* of a frame of 2 x 2 patches */

/* What the model says of x [SAMPLE], channels fastest within positions, at a timestep. */
static void ask(toy *y, const float *x, double timestep, float *eps, float *v) {
    const reel_latent_clip clip = {.f = 1, .h = 4, .w = 4, .data = y->data[0]};
    reel_row_clear(&y->row);
    reel_row_add(&y->row, &clip, (timestep + 0.5) / 1000, 0, 0);
    reel_row_fill(&y->row, 5);
    assert_true(y->row.level[0] == (float)timestep);
    for (int token = 0; token < 4; token++)
        for (int k = 0; k < 4; k++)
            for (int c = 0; c < Z; c++)
                y->row.tokens[(token * Z + c) * 4 + k] = x[(token * 4 + k) * Z + c];
    assert_int_equal(reel_program_run(y->program), REEL_OK);
    const float *out = reel_program_data(y->program, y->prediction);
    for (int i = 0; i < SAMPLE; i++) {
        eps[i] = out[i / Z * 2 * Z + i % Z];
        v[i] = out[i / Z * 2 * Z + Z + i % Z];
    }
}

/* Data of a single point: ancestral sampling with the learned variance must end there. */
static void test_objective_learned_samples_the_data(void **state) {
    (void)state;
    enum { SAMPLE_STEPS = 50, LONGER = 500 };
    static toy y;
    double first, last;
    float x[SAMPLE], eps[SAMPLE], v[SAMPLE], noise[SAMPLE];
    open_toy(&y, REEL_OBJECTIVE_LEARNED, 1);
    train(&y, LONGER, &first, &last);
    reel_program_free(&y.program);
    assert_int_equal(reel_program_new(y.learner, REEL_PROGRAM_LOOK, record, &y, &y.program),
                     REEL_OK);
    reel_sampler_options o = reel_sampler_options_default(REEL_SAMPLER_DDPM);
    o.schedule.beta_schedule = REEL_BETA_COSINE;
    o.n_steps = SAMPLE_STEPS;
    o.variance = REEL_VARIANCE_LEARNED;
    reel_sampler *s;
    assert_int_equal(reel_sampler_new(y.env, &o, SAMPLE, &s), REEL_OK);
    reel_rng_fill_normal(7, 0, 0, SAMPLE, x);
    for (int i = 0; i < reel_sampler_n_evaluations(s); i++) {
        ask(&y, x, reel_sampler_timestep(s, i), eps, v);
        reel_rng_fill_normal(7, 1 + (uint64_t)i, 0, SAMPLE, noise);
        reel_sampler_step(s, i, eps, v, noise, x);
    }
    double square = 0;
    for (int i = 0; i < SAMPLE; i++) {
        const double d = (double)x[i] - (double)reel_bf16_to_f32(y.data[0][i % Z]);
        square += d * d / SAMPLE;
    }
    if (!(square < 0.05)) fail_msg("%g away from the data, squared", square);
    reel_sampler_free(&s);
    close_toy(&y);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objective_layout_is_learned_half_way),
        cmocka_unit_test(test_objective_flow_trains),
        cmocka_unit_test(test_objective_sample_trains),
        cmocka_unit_test(test_objective_epsilon_trains),
        cmocka_unit_test(test_objective_v_trains),
        cmocka_unit_test(test_objective_learned_trains),
        cmocka_unit_test(test_objective_learned_samples_the_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
