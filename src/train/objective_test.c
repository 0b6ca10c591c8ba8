/* Every objective trains: a transformer of one block on a few latents, packed into rows. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/rng.h"
#include "cpu/cpu.h"
#include "models/wan/dit.h"
#include "ops/loss.h"
#include "support/op_check.h"
#include "train/learner.h"
#include "train/row.h"

enum { Z = 4, T = 64, N = 6, X = 2, TEXT = 8, STEPS = 120, WINDOW = 15, CLIPS = 3 };

typedef struct toy {
    reel_env *env;
    reel_row row;
    reel_wan_dit_config config;
    float text[N * X * TEXT];
    reel_bf16 data[CLIPS][3 * 4 * 4 * Z];
} toy;

static reel_var record(void *context, reel_nn *nn) {
    toy *y = context;
    reel_tape *t = nn->tape;
    const reel_row *row = &y->row;
    const int64_t width = Z * 4;
    const reel_wan_dit_input in = {
        .positions = reel_tape_input(t, REEL_I32, REEL_SHAPE(T, 3), "positions", row->positions),
        .t = reel_tape_input(t, REEL_F32, REEL_SHAPE(2 * N), "levels", row->level),
        .map = reel_tape_input(t, REEL_I32, REEL_SHAPE(T), "map", row->map),
        .text = reel_tape_input(t, REEL_F32, REEL_SHAPE(1, N * X, TEXT), "text", y->text),
        .offsets = reel_tape_input(t, REEL_I32, REEL_SHAPE(N + 2), "offsets", row->offsets),
        .text_offsets =
            reel_tape_input(t, REEL_I32, REEL_SHAPE(N + 2), "text offsets", row->text_offsets)};
    const reel_shape s = REEL_SHAPE(1, T, width);
    const reel_var tokens = reel_tape_input(t, REEL_F32, s, "tokens", row->tokens);
    const reel_var target = reel_tape_input(t, REEL_F32, s, "target", row->target);
    const reel_var weight =
        reel_tape_input(t, REEL_F32, REEL_SHAPE(1, T, 1), "weight", row->weight);
    return reel_mse(t, reel_wan_dit_tokens(nn, &y->config, tokens, &in), target, weight);
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
    }
    reel_row_fill(&y->row, 5);
}

/* The mean loss of the first and the last WINDOW steps. */
static void train(reel_objective objective, double *first, double *last) {
    static toy y;
    reel_kernel_table *table;
    reel_learner *learner;
    reel_program *program;
    reel_learner_options o = reel_learner_options_default();
    y.env = op_test_env(2);
    y.config = reel_wan_dit_config_default();
    y.config.num_attention_heads = 2;
    y.config.attention_head_dim = 16;
    y.config.in_channels = y.config.out_channels = Z;
    y.config.text_dim = TEXT;
    y.config.freq_dim = 32;
    y.config.ffn_dim = 64;
    y.config.num_layers = 1;
    for (int c = 0; c < CLIPS; c++)
        for (int i = 0; i < 3 * 4 * 4 * Z; i++)
            y.data[c][i] = reel_f32_to_bf16(reel_rng_normal(9, (uint64_t)c, (uint64_t)(i % Z)));
    o.rule[0] = (reel_rule){"blocks.*.weight", REEL_METHOD_MUON, 0.01, 0};
    o.rule[1] = (reel_rule){"*", REEL_METHOD_ADAMW, 0.01, 0};
    o.n_rules = 2;
    assert_int_equal(reel_cpu_table(y.env, REEL_ISA_AMX, &table), REEL_OK);
    const reel_row_options sizes = {
        .T = T, .N = N, .X = X, .z = Z, .patch = 2, .objective = objective};
    assert_int_equal(reel_row_init(y.env, &sizes, &y.row), REEL_OK);
    assert_int_equal(reel_learner_new(y.env, table, &o, &learner), REEL_OK);
    assert_int_equal(reel_learner_declare(learner, record, &y), REEL_OK);
    assert_int_equal(reel_learner_begin(learner, 1), REEL_OK);
    assert_int_equal(reel_program_new(learner, REEL_PROGRAM_TRAIN, record, &y, &program), REEL_OK);
    *first = *last = 0;
    for (int s = 0; s < STEPS; s++) {
        reel_step_result r;
        fill(&y, s);
        assert_int_equal(reel_program_step(program, 1, NULL, &r), REEL_OK);
        if (s < WINDOW) *first += r.loss / WINDOW;
        if (s >= STEPS - WINDOW) *last += r.loss / WINDOW;
    }
    reel_program_free(&program);
    reel_learner_free(&learner);
    reel_row_deinit(&y.row);
    reel_kernel_table_free(y.env, &table);
    reel_env_free(&y.env);
}

/* Data of three points: what is left to learn is nearly nothing, so the loss falls to a fraction.
 */
static void expect_learning(reel_objective objective, double share) {
    double first, last;
    train(objective, &first, &last);
    if (!(last < share * first)) fail_msg("from %g to %g", first, last);
}

static void test_objective_flow_trains(void **state) {
    (void)state;
    expect_learning(REEL_OBJECTIVE_FLOW, 0.5);
}

static void test_objective_epsilon_trains(void **state) {
    (void)state;
    expect_learning(REEL_OBJECTIVE_EPSILON, 0.5);
}

static void test_objective_v_trains(void **state) {
    (void)state;
    expect_learning(REEL_OBJECTIVE_V, 0.5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objective_flow_trains),
        cmocka_unit_test(test_objective_epsilon_trains),
        cmocka_unit_test(test_objective_v_trains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
