#include "train/row.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "models/wan/dit.h"

enum { Z = 3, PATCH = 2, WIDTH = Z * PATCH * PATCH, T = 40, N = 4, X = 5 };

typedef struct fixture {
    reel_env *env;
    reel_row row;
    reel_bf16 data[4 * 4 * 6 * Z]; /* [f,h,w,z] */
    reel_latent_clip clip;         /* 4 frames of 4 x 6: 6 tokens each */
} fixture;

static const reel_row_options sizes = {.T = T, .N = N, .X = X, .z = Z, .patch = PATCH};

static void open_fixture_with(fixture *f, const reel_row_options *o) {
    assert_int_equal(reel_env_new(NULL, &f->env), REEL_OK);
    assert_int_equal(reel_row_init(f->env, o, &f->row), REEL_OK);
    for (int i = 0; i < 4 * 4 * 6 * Z; i++)
        f->data[i] = reel_f32_to_bf16((float)(i % 97) / 16);
    f->clip = (reel_latent_clip){.index = 7, .f = 4, .h = 4, .w = 6, .data = f->data};
}

static void open_fixture(fixture *f, reel_objective objective) {
    reel_row_options o = sizes;
    o.objective = objective;
    open_fixture_with(f, &o);
}

static void close_fixture(fixture *f) {
    reel_row_deinit(&f->row);
    reel_env_free(&f->env);
}

/* x0 of frame, row, column, channel. */
static float value(const fixture *f, int frame, int y, int x, int c) {
    return reel_bf16_to_f32(f->data[((frame * 4 + y) * 6 + x) * Z + c]);
}

static void test_row_tokens_are_patches_channels_slowest(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f, REEL_OBJECTIVE_FLOW);
    reel_row_clear(&f.row);
    assert_true(reel_row_add(&f.row, &f.clip, 0, 0, 0)); /* t = 0: the clip itself */
    reel_row_fill(&f.row, 1);
    for (int frame = 0; frame < 4; frame++)
        for (int y = 0; y < 2; y++)
            for (int x = 0; x < 3; x++)
                for (int c = 0; c < Z; c++)
                    for (int k = 0; k < 4; k++) {
                        const int token = (frame * 2 + y) * 3 + x;
                        const float wanted = value(&f, frame, 2 * y + k / 2, 2 * x + k % 2, c);
                        assert_true(f.row.tokens[token * WIDTH + c * 4 + k] == wanted);
                    }
    assert_memory_equal(f.row.positions + 3 * 10, ((const int32_t[]){1, 1, 1}), 12);
    close_fixture(&f);
}

static void test_row_flow_mixes_and_points_from_data_to_noise(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f, REEL_OBJECTIVE_FLOW);
    reel_row_clear(&f.row);
    reel_row_add(&f.row, &f.clip, 0.25, 0, 8);
    reel_row_fill(&f.row, 1);
    for (int i = 0; i < 24 * WIDTH; i++) {
        const int token = i / WIDTH, k = i / Z % 4, c = i % Z;
        const float eps = reel_rng_normal(1, reel_rng_stream("row noise"), (uint64_t)(8 + i));
        const float x0 = value(&f, token / 6, token / 3 % 2 * 2 + k / 2, token % 3 * 2 + k % 2, c);
        const float x = f.row.tokens[token * WIDTH + c * 4 + k];
        assert_true(fabsf(f.row.target[i] - (eps - x0)) < 1e-6f);
        assert_true(fabsf(x - (0.75f * x0 + 0.25f * eps)) < 1e-6f);
    }
    assert_true(f.row.level[0] == 250 && f.row.level[1] == 0);
    close_fixture(&f);
}

static void test_row_sample_weighs_errors_as_those_of_velocities(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f, REEL_OBJECTIVE_SAMPLE);
    float y[T * WIDTH];
    reel_row_clear(&f.row);
    reel_row_add(&f.row, &f.clip, 0.25, 1, 8); /* its first frame is known */
    reel_row_fill(&f.row, 1);
    for (int i = 0; i < 24 * WIDTH; i++) {
        const int token = i / WIDTH, k = i / Z % 4, c = i % Z;
        const float x0 = value(&f, token / 6, token / 3 % 2 * 2 + k / 2, token % 3 * 2 + k % 2, c);
        assert_true(token < 6 || f.row.target[i] == x0);
        assert_true(f.row.weight[token] == (token < 6 ? 0 : 16));
        y[i] = x0 + 0.5f; /* the velocity (x - x0) / t is off by 2 */
    }
    assert_true(f.row.mean_weight == 16);
    assert_true(fabs(reel_row_error(&f.row, y, 0) - 4) < 1e-5);
    reel_row_clear(&f.row);
    reel_row_add(&f.row, &f.clip, 0.01, 0, 8);
    reel_row_fill(&f.row, 1);
    assert_true(fabsf(f.row.weight[0] - 400) < 1e-3f); /* held at t = 0.05 */
    close_fixture(&f);
}

static void test_row_objects_weigh_more_until_it_is_cleared(void **state) {
    (void)state;
    fixture f;
    reel_row_options o = sizes;
    o.objective = REEL_OBJECTIVE_SAMPLE;
    o.object_weight = 3;
    open_fixture_with(&f, &o);
    reel_latent_clip shorter = f.clip;
    shorter.f = 2;
    for (int round = 0; round < 2; round++) {
        reel_row_clear(&f.row);
        reel_row_add(&f.row, &f.clip, 0.5, 0, 8);
        reel_row_add(&f.row, &shorter, 0.25, 1, 80); /* its first frame is known: 6 tokens */
        if (round == 0) memset(reel_row_objects(&f.row, 1), 1, 8);
        reel_row_fill(&f.row, 1);
        assert_true(f.row.weight[0] == 4 && f.row.weight[24] == 0);
        assert_true(f.row.weight[30] == (round ? 16 : 48) && f.row.weight[32] == 16);
    }
    close_fixture(&f);
}

/* Known tokens have noise of their own level, and still weigh nothing. */
static void test_row_known_frames_may_have_noise_of_their_own(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f, REEL_OBJECTIVE_FLOW);
    reel_row_clear(&f.row);
    reel_row_add(&f.row, &f.clip, 0.75, 1u << 2, 0);
    reel_row_set_known_noise(&f.row, 0, 0.125);
    reel_row_fill(&f.row, 1);
    assert_true(f.row.level[0] == 750 && f.row.level[1] == 125);
    for (int token = 0; token < 24; token++) {
        const bool known = token / 6 == 2;
        const float t = known ? 0.125f : 0.75f;
        const float x0 = value(&f, token / 6, token / 3 % 2 * 2, token % 3 * 2, 0);
        const float eps = f.row.target[token * WIDTH] + x0;
        assert_true(f.row.weight[token] == (known ? 0 : 1));
        assert_int_equal(f.row.map[token], known);
        assert_true(fabsf(f.row.tokens[token * WIDTH] - ((1 - t) * x0 + t * eps)) < 1e-5f);
    }
    close_fixture(&f);
}

/* A clip of four frames without its second and third. */
static void test_row_a_gap_lies_behind_the_first_frame(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f, REEL_OBJECTIVE_FLOW);
    reel_latent_clip two = f.clip;
    two.f = 2;
    reel_row_clear(&f.row);
    reel_row_add(&f.row, &two, 0, 0, 0);
    reel_row_set_gap(&f.row, 0, 2);
    reel_row_fill(&f.row, 1);
    for (int token = 0; token < 12; token++) {
        const int stored = token < 6 ? 0 : 3;
        assert_true(f.row.tokens[token * WIDTH] ==
                    value(&f, stored, token / 3 % 2 * 2, token % 3 * 2, 0));
        assert_int_equal(f.row.positions[3 * token], token / 6);
    }
    close_fixture(&f);
}

/* Both labels of every token, of clips of which somebody said where their objects are. */
static void test_row_layout_is_told_of_placed_clips(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f, REEL_OBJECTIVE_FLOW);
    reel_latent_clip two = f.clip;
    two.f = 2;
    for (int round = 0; round < 2; round++) {
        reel_row_clear(&f.row);
        reel_row_add(&f.row, &f.clip, 0.5, 0, 0);
        reel_row_add(&f.row, &two, 0.5, 0, 80);
        if (round == 0) memset(reel_row_objects(&f.row, 1), 0xC7, 3);
        reel_row_fill(&f.row, 1);
        for (int token = 0; token < T; token++) {
            const bool knows = round == 0 && token >= 24 && token < 36;
            const int kind = knows ? (token < 27 ? 12 : 0) : -1;
            const int color = knows ? (token < 27 ? 7 : 0) : -1;
            assert_int_equal(f.row.layout[2 * token], kind);
            assert_int_equal(f.row.layout[2 * token + 1], color);
        }
    }
    close_fixture(&f);
}

static void test_row_a_region_is_known_in_every_frame(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f, REEL_OBJECTIVE_FLOW);
    for (int outside = 0; outside < 2; outside++) {
        const reel_row_box box = {.y = 1, .x = 1, .height = 1, .width = 2, .outside = outside};
        reel_row_clear(&f.row);
        reel_row_add(&f.row, &f.clip, 0.5, 1u << 3, 0); /* and the last frame */
        reel_row_set_region(&f.row, 0, &box);
        reel_row_fill(&f.row, 1);
        for (int token = 0; token < 24; token++) {
            const bool inside = token % 6 >= 4; /* row 1, columns 1 and 2 of 2 x 3 */
            const bool known = inside != outside || token >= 18;
            assert_true(f.row.weight[token] == (known ? 0 : 1));
            assert_int_equal(f.row.map[token], known);
            const float x0 = value(&f, token / 6, token / 3 % 2 * 2, token % 3 * 2, 0);
            assert_true((f.row.tokens[token * WIDTH] == x0) == known);
        }
    }
    close_fixture(&f);
}

static void test_row_velocity_and_noise_give_the_data_back(void **state) {
    (void)state;
    for (int objective = REEL_OBJECTIVE_EPSILON; objective <= REEL_OBJECTIVE_V; objective++) {
        fixture f;
        open_fixture(&f, (reel_objective)objective);
        reel_row_clear(&f.row);
        reel_row_add(&f.row, &f.clip, 0.4, 0, 0);
        reel_row_fill(&f.row, 1);
        const double at = (0.4 + 0.008) / 1.008 * 1.57079632679489661923;
        const double signal = cos(at) / cos(0.008 / 1.008 * 1.57079632679489661923);
        const double noise = sqrt(1 - signal * signal);
        const double x = (double)f.row.tokens[0], target = (double)f.row.target[0];
        const double x0 = objective == REEL_OBJECTIVE_V ? signal * x - noise * target
                                                        : (x - noise * target) / signal;
        assert_true(fabs(x0 - (double)value(&f, 0, 0, 0, 0)) < 1e-5);
        close_fixture(&f);
    }
}

static void test_row_known_frames_are_clean_and_weigh_nothing(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f, REEL_OBJECTIVE_FLOW);
    reel_row_clear(&f.row);
    reel_row_add(&f.row, &f.clip, 0.5, 1u << 2, 0);
    reel_row_fill(&f.row, 1);
    for (int token = 0; token < 24; token++) {
        const bool known = token / 6 == 2;
        assert_true(f.row.weight[token] == (known ? 0 : 1));
        assert_int_equal(f.row.map[token], known);
        if (known)
            assert_true(f.row.tokens[token * WIDTH] ==
                        value(&f, 2, token / 3 % 2 * 2, token % 3 * 2, 0));
    }
    close_fixture(&f);
}

static void test_row_planes_say_where_a_token_stands(void **state) {
    (void)state;
    enum { P = PATCH * PATCH, WIDE = (Z + REEL_WAN_DIT_PLANES) * P };
    fixture f, plain;
    reel_row_options o = sizes;
    o.planes = true;
    open_fixture_with(&f, &o);
    open_fixture(&plain, REEL_OBJECTIVE_FLOW);
    fixture *both[] = {&f, &plain};
    for (int i = 0; i < 2; i++) {
        reel_row_clear(&both[i]->row);
        assert_true(reel_row_add(&both[i]->row, &both[i]->clip, 0.5, 0, 0));
        reel_row_fill(&both[i]->row, 1);
    }
    for (int token = 0; token < 24; token++) {
        const float *row = f.row.tokens + token * WIDE;
        assert_memory_equal(row, plain.row.tokens + token * WIDTH, WIDTH * sizeof(float));
        for (int k = 0; k < P; k++) {
            const int y = token / 3 % 2 * 2 + k / 2, x = token % 3 * 2 + k % 2;
            assert_true(fabsf(row[WIDTH + k] - ((2 * (float)y + 1) / 4 - 1)) < 1e-6f);
            assert_true(fabsf(row[WIDTH + P + k] - ((2 * (float)x + 1) / 6 - 1)) < 1e-6f);
        }
    }
    assert_memory_equal(f.row.target, plain.row.target, 24 * WIDTH * sizeof(float));
    close_fixture(&f);
    close_fixture(&plain);
}

static void test_row_packs_until_it_is_full(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f, REEL_OBJECTIVE_FLOW);
    reel_row_clear(&f.row);
    reel_latent_clip two = f.clip, image = f.clip;
    two.f = 2;
    image.f = 1;
    assert_true(reel_row_add(&f.row, &f.clip, 0.1, 0, 0));    /* 24 tokens */
    assert_true(reel_row_add(&f.row, &two, 0.2, 0, 1000));    /* 12 */
    assert_false(reel_row_add(&f.row, &image, 0.3, 0, 2000)); /* 6 do not fit into 4 */
    const int32_t ids[7] = {9, 8, 7, 6, 5, 4, 3};
    reel_row_set_text(&f.row, 1, ids, 7); /* cut to X */
    reel_row_fill(&f.row, 1);
    assert_memory_equal(f.row.offsets, ((const int32_t[]){0, 24, 36, 36, 36, 40}), 24);
    assert_memory_equal(f.row.text_offsets, ((const int32_t[]){0, 5, 10, 15, 20, 20}), 24);
    assert_memory_equal(f.row.ids + X, ids, X * sizeof *ids);
    assert_int_equal(f.row.key_mask[X - 1] + f.row.key_mask[X], 1);
    for (int token = 36; token < T; token++)
        assert_true(f.row.weight[token] == 0 && f.row.target[token * WIDTH] == 0);
    close_fixture(&f);
}

static void test_row_error_is_the_mean_over_what_weighs(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f, REEL_OBJECTIVE_FLOW);
    float y[T * WIDTH];
    reel_row_clear(&f.row);
    reel_row_add(&f.row, &f.clip, 0.5, 1, 0);
    reel_row_fill(&f.row, 1);
    memcpy(y, f.row.target, sizeof y);
    assert_true(reel_row_error(&f.row, y, 0) == 0);
    for (int i = 0; i < T * WIDTH; i++)
        y[i] += i < 6 * WIDTH ? 100 : 2; /* frame 0 is known and does not count */
    assert_true(fabs(reel_row_error(&f.row, y, 0) - 4) < 1e-5);
    close_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_row_tokens_are_patches_channels_slowest),
        cmocka_unit_test(test_row_flow_mixes_and_points_from_data_to_noise),
        cmocka_unit_test(test_row_sample_weighs_errors_as_those_of_velocities),
        cmocka_unit_test(test_row_objects_weigh_more_until_it_is_cleared),
        cmocka_unit_test(test_row_layout_is_told_of_placed_clips),
        cmocka_unit_test(test_row_a_gap_lies_behind_the_first_frame),
        cmocka_unit_test(test_row_a_region_is_known_in_every_frame),
        cmocka_unit_test(test_row_velocity_and_noise_give_the_data_back),
        cmocka_unit_test(test_row_known_frames_are_clean_and_weigh_nothing),
        cmocka_unit_test(test_row_known_frames_may_have_noise_of_their_own),
        cmocka_unit_test(test_row_planes_say_where_a_token_stands),
        cmocka_unit_test(test_row_packs_until_it_is_full),
        cmocka_unit_test(test_row_error_is_the_mean_over_what_weighs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
