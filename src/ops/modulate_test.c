#include "ops/modulate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

#include "ops/elementwise.h"
#include "ops/layout.h"
#include "ops/reduce.h"
#include "support/op_check.h"

/* ---- norm_modulate: in x, shift, scale, map ---- */

static reel_var modulate(reel_tape *t, const reel_var *in, const void *context) {
    return reel_norm_modulate(t, in[0], in[1], in[2], in[3], context);
}
static reel_var modulate_unmapped(reel_tape *t, const reel_var *in, const void *context) {
    return reel_norm_modulate(t, in[0], in[1], in[2], 0, context);
}

static const reel_modulate_attr layer = {REEL_NORM_LAYER, REEL_F32, 1e-6f};
static const reel_modulate_attr rms = {REEL_NORM_RMS, REEL_F32, 1e-6f};
static const reel_modulate_attr layer_bf16 = {REEL_NORM_LAYER, REEL_BF16, 1e-6f};
static const reel_modulate_attr rms_bf16 = {REEL_NORM_RMS, REEL_BF16, 1e-6f};

static op_case modulated(const char *name, const reel_modulate_attr *attr, bool mapped, int64_t T,
                         int64_t C, int64_t R) {
    return (op_case){
        .name = name,
        .build = mapped ? modulate : modulate_unmapped,
        .context = attr,
        .n_in = mapped ? 4 : 3,
        .in = {{.shape = REEL_SHAPE(T, C)},
               {.shape = REEL_SHAPE(R, C)},
               {.shape = REEL_SHAPE(R, C)},
               {.dtype = REEL_I32, .shape = REEL_SHAPE(T), .hi = (double)R, .fixed = true}}};
}

/* ---- gate: in x, b, g, map ---- */

static reel_var gate(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    return reel_gate(t, in[0], in[1], in[2], in[3]);
}
static reel_var gate_unmapped(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    return reel_gate(t, in[0], in[1], in[2], 0);
}
static reel_var gate_without_g(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    return reel_gate(t, in[0], in[1], 0, 0);
}

static op_case gated(const char *name, bool mapped, int64_t T, int64_t C, int64_t R) {
    return (op_case){
        .name = name,
        .build = mapped ? gate : gate_unmapped,
        .n_in = mapped ? 4 : 3,
        .in = {{.shape = REEL_SHAPE(T, C)},
               {.shape = REEL_SHAPE(T, C)},
               {.shape = REEL_SHAPE(R, C)},
               {.dtype = REEL_I32, .shape = REEL_SHAPE(T), .hi = (double)R, .fixed = true}}};
}

static void test_modulate_has_hand_values(void **state) {
    (void)state;
    /* rows (1,3) and (4,0): mean 2, variance 1 and 4; xhat (-1,1) and (1,-1) */
    const float x[4] = {1, 3, 4, 0}, shift[4] = {10, 20, 30, 40}, scale[4] = {0, 1, 2, -1};
    const float order[2] = {1, 0};
    const reel_modulate_attr exact = {REEL_NORM_LAYER, REEL_F32, 0};
    op_case c = modulated("hand", &exact, false, 2, 2, 2);
    c.in[0].value = x;
    c.in[1].value = shift;
    c.in[2].value = scale;
    op_check_values(&c, (const float[]){9, 22, 33, 40}, 4, 1e-7);
    c = modulated("hand mapped", &exact, true, 2, 2, 2);
    c.in[0].value = x;
    c.in[1].value = shift;
    c.in[2].value = scale;
    c.in[3].value = order;
    op_check_values(&c, (const float[]){27, 40, 11, 18}, 4, 1e-7);
}

static void test_gate_has_hand_values(void **state) {
    (void)state;
    const float x[4] = {1, 2, 3, 4}, b[4] = {1, 1, 2, 2}, g[4] = {10, 20, 30, 40};
    const float order[2] = {1, 1};
    op_case c = gated("hand", true, 2, 2, 2);
    c.in[0].value = x;
    c.in[1].value = b;
    c.in[2].value = g;
    c.in[3].value = order;
    op_check_values(&c, (const float[]){31, 42, 63, 84}, 4, 1e-7);
}

static void test_modulate_checks_at_odd_sizes(void **state) {
    (void)state;
    static const int64_t widths[] = {7, 17, 33, 64, 100};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        for (int k = 0; k < 2; k++) {
            const reel_modulate_attr attr = {k ? REEL_NORM_RMS : REEL_NORM_LAYER, REEL_F32, 1e-2f};
            const op_case cases[] = {
                modulated("all alike", &attr, false, 5, widths[i], 1),
                modulated("per sample", &attr, false, 6, widths[i], 2),
                modulated("per token", &attr, false, 3, widths[i], 3),
                modulated("mapped", &attr, true, 7, widths[i], 3),
                gated("gate all alike", false, 5, widths[i], 1),
                gated("gate per sample", false, 6, widths[i], 2),
                gated("gate per token", false, 3, widths[i], 3),
                gated("gate mapped", true, 7, widths[i], 3),
            };
            for (size_t j = 0; j < sizeof cases / sizeof *cases; j++)
                op_check(&cases[j]);
        }
    /* one channel: xhat is 0 and dx too, which leaves no size to compare roundings with */
    op_case one = modulated("one channel", &layer, false, 5, 1, 1);
    op_check_gradients(&one);
    one.in[0].fixed = true;
    op_check_kernels(&one);
}

static void test_modulate_checks_mixed_types(void **state) {
    (void)state;
    for (int k = 0; k < 16; k++) {
        op_case c = modulated("types", k & 1 ? &layer_bf16 : &rms, k & 8, 12, 100, 3);
        c.in[0].dtype = k & 2 ? REEL_BF16 : REEL_F32;
        c.in[1].dtype = c.in[2].dtype = k & 4 ? REEL_BF16 : REEL_F32;
        op_check_plans(&c);
        op_check_kernels(&c);
        c = gated("gate types", k & 8, 12, 100, 3);
        c.in[0].dtype = k & 1 ? REEL_BF16 : REEL_F32;
        c.in[1].dtype = k & 2 ? REEL_BF16 : REEL_F32;
        c.in[2].dtype = k & 4 ? REEL_BF16 : REEL_F32;
        op_check_plans(&c);
        op_check_kernels(&c);
    }
}

static void test_modulate_checks_long_inputs(void **state) {
    (void)state;
    static const struct {
        int64_t T, C, R;
        bool mapped;
    } size[] = {{160, 1536, 2, false},
                {333, 256, 1, false},
                {300, 192, 300, false},
                {420, 64, 4, false},
                {301, 257, 9, true}};
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        const op_case cases[] = {
            modulated("f32", &layer, size[i].mapped, size[i].T, size[i].C, size[i].R),
            modulated("bf16", &rms_bf16, size[i].mapped, size[i].T, size[i].C, size[i].R),
            gated("gate", size[i].mapped, size[i].T, size[i].C, size[i].R)};
        for (size_t k = 0; k < sizeof cases / sizeof *cases; k++)
            op_check_kernels(&cases[k]);
    }
}

/* (1 + scale) norm(x) + shift out of layer_norm, mul and add. */
static reel_var composed(reel_tape *t, const reel_var *in, const void *context) {
    const reel_modulate_attr *attr = context;
    const reel_shape x = reel_tape_value(t, in[0])->shape, m = reel_tape_value(t, in[1])->shape;
    const int64_t R = m.dim[0], C = m.dim[1];
    reel_var h = attr->kind == REEL_NORM_LAYER
                     ? reel_layer_norm(t, in[0], 0, 0, attr->eps, REEL_F32)
                     : reel_rms_norm(t, in[0], 0, attr->eps, REEL_F32);
    h = reel_reshape(t, h, REEL_SHAPE(R, x.dim[0] / R, C));
    const reel_var shift = reel_reshape(t, in[1], REEL_SHAPE(R, 1, C));
    const reel_var scale = reel_reshape(t, in[2], REEL_SHAPE(R, 1, C));
    h = reel_add(t, reel_add(t, h, reel_mul(t, h, scale)), shift);
    return reel_reshape(t, h, x);
}

static reel_var gate_composed(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    const reel_shape x = reel_tape_value(t, in[0])->shape, g = reel_tape_value(t, in[2])->shape;
    const reel_shape split = REEL_SHAPE(g.dim[0], x.dim[0] / g.dim[0], x.dim[1]);
    const reel_var row = reel_reshape(t, in[2], REEL_SHAPE(g.dim[0], 1, x.dim[1]));
    const reel_var gb = reel_mul(t, reel_reshape(t, in[1], split), row);
    return reel_reshape(t, reel_add(t, reel_reshape(t, in[0], split), gb), x);
}

static void test_norm_modulate_equals_its_composition(void **state) {
    (void)state;
    const reel_modulate_attr *const attr[2] = {&layer, &rms};
    for (int k = 0; k < 2; k++)
        for (int64_t R = 1; R <= 6; R++) {
            if (6 % R) continue;
            const op_case fused = modulated("norm_modulate", attr[k], false, 6, 19, R);
            op_case apart = fused;
            apart.build = composed;
            op_check_same(&fused, &apart, 1e-6);
        }
}

static void test_gate_equals_its_composition(void **state) {
    (void)state;
    const op_case fused = gated("gate", false, 6, 19, 2);
    op_case apart = fused;
    apart.build = gate_composed;
    op_check_same(&fused, &apart, 1e-6);
    op_case without = gated("gate without g", false, 6, 19, 2);
    without.build = gate_without_g;
    without.n_in = 2;
    op_check(&without);
}

/* A map that says what the lengths say gives the same; one that packs unequal clips is right too:
 * clips of 1, 4 and 3 tokens against a row for each token. */
static reel_var spread(reel_tape *t, const reel_var *in, const void *context) {
    static const int32_t row[8] = {0, 1, 1, 1, 1, 2, 2, 2};
    const reel_var map = reel_tape_input(t, REEL_I32, REEL_SHAPE(8), "map", row);
    const reel_var h = reel_norm_modulate(t, in[0], in[1], in[2], map, context);
    return reel_gate(t, h, in[0], in[1], map);
}
static reel_var spread_by_hand(reel_tape *t, const reel_var *in, const void *context) {
    static const float pick[8][3] = {{1, 0, 0}, {0, 1, 0}, {0, 1, 0}, {0, 1, 0},
                                     {0, 1, 0}, {0, 0, 1}, {0, 0, 1}, {0, 0, 1}};
    const reel_var p = reel_tape_input(t, REEL_F32, REEL_SHAPE(8, 3, 1), "pick", pick);
    reel_var m[2];
    for (int i = 0; i < 2; i++) { /* [8,3,1] [3,11] -> sum over the rows: [8,11] */
        const reel_var wide = reel_mul(t, p, in[1 + i]);
        m[i] = reel_reshape(t, reel_sum(t, wide, 1u << 1, REEL_DROP_AXES), REEL_SHAPE(8, 11));
    }
    const reel_var h = reel_norm_modulate(t, in[0], m[0], m[1], 0, context);
    return reel_gate(t, h, in[0], m[0], 0);
}

static void test_maps_place_rows_as_lengths_do(void **state) {
    (void)state;
    const op_case mapped = {.name = "packed clips",
                            .build = spread,
                            .context = &layer,
                            .n_in = 3,
                            .in = {{.shape = REEL_SHAPE(8, 11)},
                                   {.shape = REEL_SHAPE(3, 11)},
                                   {.shape = REEL_SHAPE(3, 11)}}};
    op_case by_hand = mapped;
    by_hand.build = spread_by_hand;
    op_check(&mapped);
    op_check_same(&mapped, &by_hand, 1e-6);
    static const float halves[6] = {0, 0, 0, 1, 1, 1};
    for (int k = 0; k < 2; k++) {
        op_case with = k ? gated("gate", true, 6, 40, 2) : modulated("map", &layer, true, 6, 40, 2);
        with.in[3].value = halves;
        op_case without = with;
        without.n_in = 3;
        without.build = k ? gate_unmapped : modulate_unmapped;
        op_check_same(&with, &without, 1e-7);
    }
}

static void test_rows_outside_the_modulation_become_nan(void **state) {
    (void)state;
    const float x[9] = {1, 2, 6, 7, 0, 1, 4, 4, 1}, m[3] = {0}, map[3] = {0, 1, -1};
    op_case c = modulated("stray rows", &layer, true, 3, 3, 1);
    c.in[0].value = x;
    c.in[1].value = c.in[2].value = m;
    c.in[3].value = map;
    op_check_kernels(&c);
    c.no_gradient = true;
    const float mean_3 = 0.46291005f; /* 1 / sqrt(14 / 3) */
    op_check_values(&c,
                    (const float[]){-2 * mean_3, -mean_3, 3 * mean_3, NAN, NAN, NAN, NAN, NAN, NAN},
                    9, 1e-6);
    c = gated("stray gates", true, 3, 2, 1);
    c.in[3].value = map;
    op_check_kernels(&c);
}

/* Layer norm of rows with a large mean, and rows of one NaN: as in norm_test, through this kernel.
 */
static void test_norm_modulate_survives_hard_rows(void **state) {
    (void)state;
    enum { R = 3, C = 1000 };
    static float x[R * C];
    for (int i = 0; i < R * C; i++)
        x[i] = 10000.0f + (float)sin(1.7 * i) * 1.41421f;
    op_case c = modulated("large mean", &layer, false, R, C, 1);
    c.in[0].value = x;
    op_check_kernels(&c);
    x[C] = -50000;
    op_check_kernels(&c);
    for (int i = 0; i < C; i++)
        x[i] = 7;
    x[C + 3] = NAN;
    c.no_gradient = true;
    for (int i = 0; i < 3; i++)
        c.in[i].fixed = true;
    op_check_kernels(&c);
}

static void test_modulate_refuses_misfits(void **state) {
    (void)state;
    op_case c = modulated("lengths", &layer, false, 5, 8, 2);
    op_check_refused(&c, REEL_E_SHAPE, "x [5,8] has 5 tokens, which the 2 rows of shift",
                     "a map is missing");
    c = modulated("width", &layer, false, 4, 8, 2);
    c.in[1].shape = c.in[2].shape = REEL_SHAPE(2, 7);
    op_check_refused(&c, REEL_E_SHAPE, "needs shift [R,8]", "got [2,7]");
    c = modulated("pair", &layer, false, 4, 8, 2);
    c.in[2].shape = REEL_SHAPE(1, 8);
    op_check_refused(&c, REEL_E_SHAPE, "shift f32 [2,8] needs a scale like it", "got f32 [1,8]");
    c = modulated("map", &layer, true, 4, 8, 2);
    c.in[3].shape = REEL_SHAPE(5);
    op_check_refused(&c, REEL_E_SHAPE, "needs map i32 [4]", "got i32 [5]");
    c.in[3] = (op_input){.dtype = REEL_I64, .shape = REEL_SHAPE(4), .hi = 1};
    op_check_refused(&c, REEL_E_SHAPE, "needs map i32 [4]", "got i64 [4]");
    const reel_modulate_attr l2 = {REEL_NORM_L2, REEL_F32, 0};
    c = modulated("kind", &l2, false, 4, 8, 2);
    op_check_refused(&c, REEL_E_ARG, "wanted layer or rms", NULL);
    c = gated("b", false, 4, 8, 2);
    c.in[1].shape = REEL_SHAPE(4, 7);
    op_check_refused(&c, REEL_E_SHAPE, "gate: x [4,8] needs b of its shape", "got f32 [4,7]");
    c = gated("g", false, 4, 8, 3);
    op_check_refused(&c, REEL_E_SHAPE, "which the 3 rows of g do not divide", NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modulate_has_hand_values),
        cmocka_unit_test(test_gate_has_hand_values),
        cmocka_unit_test(test_modulate_checks_at_odd_sizes),
        cmocka_unit_test(test_modulate_checks_mixed_types),
        cmocka_unit_test(test_modulate_checks_long_inputs),
        cmocka_unit_test(test_norm_modulate_equals_its_composition),
        cmocka_unit_test(test_gate_equals_its_composition),
        cmocka_unit_test(test_maps_place_rows_as_lengths_do),
        cmocka_unit_test(test_rows_outside_the_modulation_become_nan),
        cmocka_unit_test(test_norm_modulate_survives_hard_rows),
        cmocka_unit_test(test_modulate_refuses_misfits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
