#include "ops/conv2d.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/op_check.h"

static reel_var build(reel_tape *t, const reel_var *in, const void *context) {
    return reel_conv2d(t, context, in[0], in[1], in[2]);
}

static op_case sized(const char *name, const reel_conv2d_attr *attr, reel_shape x, reel_shape w) {
    return (op_case){.name = name,
                     .build = build,
                     .context = attr,
                     .n_in = 3,
                     .in = {{.shape = x}, {.shape = w}, {.shape = REEL_SHAPE(w.dim[0])}}};
}

static const reel_conv2d_attr same = {.stride = {1, 1}, .pad_lo = {1, 1}, .pad_hi = {1, 1}};
static const reel_conv2d_attr half = {
    .stride = {2, 2}, .pad_hi = {1, 1}, .layout = REEL_GRID_CHANNELS_LAST};

static void test_conv2d_has_hand_values(void **state) {
    (void)state;
    const float x[4] = {1, 2, 3, 4}, w[9] = {0, 0, 0, 0, 1, 10, 0, 100, 1000}, b[1] = {0.5f};
    op_case c = sized("hand", &same, REEL_SHAPE(1, 1, 2, 2), REEL_SHAPE(1, 1, 3, 3));
    c.in[0].value = x;
    c.in[1].value = w;
    c.in[2].value = b;
    op_check_values(&c, (const float[]){4321.5f, 402.5f, 43.5f, 4.5f}, 4, 1e-7);
}

static void test_conv2d_checks_at_odd_sizes(void **state) {
    (void)state;
    const op_case cases[] = {
        sized("3x3", &same, REEL_SHAPE(2, 3, 4, 3), REEL_SHAPE(2, 3, 3, 3)),
        sized("halving, channels last", &half, REEL_SHAPE(2, 4, 6, 3), REEL_SHAPE(2, 3, 3, 3)),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        op_check(&cases[i]);
}

static void test_conv2d_refuses_misfits(void **state) {
    (void)state;
    op_case c = sized("rank", &same, REEL_SHAPE(1, 2, 3, 3), REEL_SHAPE(2, 2, 3, 3));
    c.in[0].shape = REEL_SHAPE(2, 3, 3);
    op_check_refused(&c, REEL_E_SHAPE, "need four axes", "[2,3,3]");
    c = sized("channels", &same, REEL_SHAPE(1, 2, 3, 3), REEL_SHAPE(2, 3, 3, 3));
    op_check_refused(&c, REEL_E_SHAPE, "needs w", "[2,3,1,3,3]");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conv2d_has_hand_values),
        cmocka_unit_test(test_conv2d_checks_at_odd_sizes),
        cmocka_unit_test(test_conv2d_refuses_misfits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
