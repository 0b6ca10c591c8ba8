#include "ops/grid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/op_check.h"

static reel_var fold(reel_tape *t, const reel_var *in, const void *context) {
    return reel_space_to_depth(t, context, in[0]);
}
static reel_var unfold(reel_tape *t, const reel_var *in, const void *context) {
    return reel_depth_to_space(t, context, in[0]);
}
static reel_var upsample(reel_tape *t, const reel_var *in, const void *context) {
    return reel_upsample(t, context, in[0]);
}
static reel_var patchify(reel_tape *t, const reel_var *in, const void *context) {
    return reel_patchify(t, in[0], context);
}
static reel_var unpatchify(reel_tape *t, const reel_var *in, const void *context) {
    const int32_t *p = context;
    return reel_unpatchify(t, in[0], p, p + 3);
}

static const float ramp[64] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                               16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};

static op_case ramp_case(const char *name, op_build *build, const void *context, reel_shape x) {
    return (op_case){.name = name,
                     .build = build,
                     .context = context,
                     .n_in = 1,
                     .in = {{.shape = x, .value = ramp}}};
}

/* Two channels of 2x4, values 0..7 and 8..15, patches 2x2. */
static void test_space_to_depth_has_hand_values_in_each_order(void **state) {
    (void)state;
    reel_fold_attr a = {.patch = {1, 2, 2}, .order = REEL_FOLD_CTHW};
    op_case c = ramp_case("cthw", fold, &a, REEL_SHAPE(1, 2, 1, 2, 4));
    op_check_values(&c, (const float[]){0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15}, 16,
                    0);
    a.order = REEL_FOLD_CTWH;
    op_check_values(&c, (const float[]){0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15}, 16,
                    0);
    a.order = REEL_FOLD_THWC;
    op_check_values(&c, (const float[]){0, 2, 8, 10, 1, 3, 9, 11, 4, 6, 12, 14, 5, 7, 13, 15}, 16,
                    0);
}

/* Wan doubles frames from twice the channels: the first half are the even frames. */
static void test_depth_to_space_doubles_frames(void **state) {
    (void)state;
    const reel_fold_attr a = {.patch = {2, 1, 1}, .order = REEL_FOLD_THWC};
    op_case c = ramp_case("frames", unfold, &a, REEL_SHAPE(1, 4, 2, 1, 1));
    op_check_values(&c, (const float[]){0, 4, 1, 5, 2, 6, 3, 7}, 8, 0);
}

static void test_patchify_has_hand_values(void **state) {
    (void)state;
    const int32_t p[6] = {1, 2, 2, 1, 2, 4};
    op_case c = ramp_case("patchify", patchify, p, REEL_SHAPE(1, 2, 1, 2, 4));
    op_check_values(&c, (const float[]){0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15}, 16,
                    0);
    c = ramp_case("unpatchify", unpatchify, p, REEL_SHAPE(1, 2, 8));
    op_check_values(&c, (const float[]){0, 2, 8, 10, 4, 6, 12, 14, 1, 3, 9, 11, 5, 7, 13, 15}, 16,
                    0);
}

static void test_upsample_has_hand_values(void **state) {
    (void)state;
    const reel_upsample_attr a = {.factor = {2, 1, 3}};
    op_case c = ramp_case("upsample", upsample, &a, REEL_SHAPE(1, 1, 1, 2, 2));
    op_check_values(
        &c, (const float[]){0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3},
        24, 0);
}

static op_case random_case(const char *name, op_build *build, const void *context, reel_dtype dtype,
                           reel_shape x) {
    return (op_case){.name = name,
                     .build = build,
                     .context = context,
                     .n_in = 1,
                     .in = {{.dtype = dtype, .shape = x}}};
}

static void test_grid_ops_check_at_odd_sizes(void **state) {
    (void)state;
    const int32_t patch[6] = {1, 2, 3, 2, 4, 9};
    const reel_fold_attr cthw = {.patch = {2, 1, 3}},
                         thwc_last = {.patch = {1, 2, 2},
                                      .order = REEL_FOLD_THWC,
                                      .layout = REEL_GRID_CHANNELS_LAST},
                         ctwh = {.patch = {1, 2, 3}, .order = REEL_FOLD_CTWH},
                         tokens_last = {
                             .patch = {1, 2, 2}, .layout = REEL_GRID_CHANNELS_LAST, .tokens = 1};
    const reel_upsample_attr up = {.factor = {2, 3, 2}},
                             up_last = {.factor = {1, 2, 2}, .layout = REEL_GRID_CHANNELS_LAST};
    const op_case cases[] = {
        random_case("fold cthw", fold, &cthw, REEL_F32, REEL_SHAPE(2, 3, 4, 2, 6)),
        random_case("fold thwc last", fold, &thwc_last, REEL_F32, REEL_SHAPE(2, 3, 4, 6, 5)),
        random_case("fold bf16", fold, &ctwh, REEL_BF16, REEL_SHAPE(1, 3, 2, 4, 9)),
        random_case("fold tokens last", fold, &tokens_last, REEL_F32, REEL_SHAPE(2, 2, 4, 2, 3)),
        random_case("unfold cthw", unfold, &cthw, REEL_F32, REEL_SHAPE(1, 12, 2, 3, 2)),
        random_case("unfold thwc last", unfold, &thwc_last, REEL_F32, REEL_SHAPE(2, 1, 3, 2, 20)),
        random_case("unfold bf16", unfold, &ctwh, REEL_BF16, REEL_SHAPE(1, 12, 2, 3, 5)),
        random_case("patchify", patchify, patch, REEL_F32, REEL_SHAPE(2, 3, 2, 4, 9)),
        random_case("unpatchify", unpatchify, patch, REEL_F32, REEL_SHAPE(2, 12, 18)),
        random_case("unpatchify bf16", unpatchify, patch, REEL_BF16, REEL_SHAPE(2, 12, 18)),
        random_case("upsample", upsample, &up, REEL_F32, REEL_SHAPE(2, 2, 2, 3, 3)),
        random_case("upsample last", upsample, &up_last, REEL_F32, REEL_SHAPE(1, 2, 3, 2, 19)),
        random_case("upsample bf16", upsample, &up_last, REEL_BF16, REEL_SHAPE(1, 2, 3, 2, 35)),
        random_case("upsample first bf16", upsample, &up, REEL_BF16, REEL_SHAPE(1, 2, 2, 3, 17)),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        op_check(&cases[i]);
}

static void test_grid_ops_refuse_misfits(void **state) {
    (void)state;
    reel_fold_attr a = {.patch = {1, 2, 2}};
    op_case c = random_case("odd", fold, &a, REEL_F32, REEL_SHAPE(1, 2, 1, 3, 4));
    op_check_refused(&c, REEL_E_SHAPE, "space_to_depth: x [1,2,1,3,4] does not divide", "[1,2,2]");
    c = random_case("channels", unfold, &a, REEL_F32, REEL_SHAPE(1, 6, 1, 3, 4));
    op_check_refused(&c, REEL_E_SHAPE, "no channels of 4", "[1,6,1,3,4]");
    const int32_t patch[6] = {1, 2, 2, 1, 4, 4};
    c = random_case("tokens", unpatchify, patch, REEL_F32, REEL_SHAPE(1, 5, 8));
    op_check_refused(&c, REEL_E_SHAPE, "x [1,5,8] needs 4 tokens", "[1,2,1,4,4]");
    const reel_fold_attr zero = {.patch = {1, 0, 2}};
    c = random_case("zero", fold, &zero, REEL_F32, REEL_SHAPE(1, 2, 1, 4, 4));
    op_check_refused(&c, REEL_E_ARG, "patch must be >= 1", "[1,0,2]");
    const reel_upsample_attr none = {.factor = {1, 1, 0}};
    c = random_case("factor", upsample, &none, REEL_F32, REEL_SHAPE(1, 2, 1, 4, 4));
    op_check_refused(&c, REEL_E_ARG, "factors must be >= 1", "[1,1,0]");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_space_to_depth_has_hand_values_in_each_order),
        cmocka_unit_test(test_depth_to_space_doubles_frames),
        cmocka_unit_test(test_patchify_has_hand_values),
        cmocka_unit_test(test_upsample_has_hand_values),
        cmocka_unit_test(test_grid_ops_check_at_odd_sizes),
        cmocka_unit_test(test_grid_ops_refuse_misfits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
