/* Results large enough that kernels store them past the caches: the same as any others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "ops/layout.h"
#include "ops/modulate.h"
#include "ops/rope.h"
#include "support/op_check.h"

enum { T = 4100, N = 16, D = 64, C = N * D }; /* 16 MiB and a little as f32 */

/* in: x [T,C], shift, scale and gate [2,C], w [C], positions. One after another, so that the test
 * fills and compares large tensors once. */
static reel_var chain(reel_tape *t, const reel_var *in, const void *context) {
    (void)context;
    const reel_modulate_attr attr = {REEL_NORM_LAYER, REEL_F32, 1e-6f};
    const reel_qk_attr qk = {.norm = REEL_QK_NORM_HEAD, .out_dtype = REEL_F32, .eps = 1e-6f};
    const reel_var h = reel_norm_modulate(t, in[0], in[1], in[2], 0, &attr);
    const reel_var y = reel_rms_norm(t, reel_gate(t, in[0], h, in[3], 0), in[4], 1e-6f, REEL_F32);
    const reel_var table = reel_rope_table(t, in[5], D, 100);
    return reel_qk_norm_rope(t, reel_reshape(t, y, REEL_SHAPE(T, N, D)), 0, table, &qk);
}

static void test_large_results_equal_the_reference(void **state) {
    (void)state;
    const op_case c = {
        .name = "past the caches",
        .build = chain,
        .n_in = 6,
        .tolerance = 1e-5, /* four ops in a row, each within 2e-6 */
        .in = {{.shape = REEL_SHAPE(T, C), .lo = -1, .hi = 2},
               {.shape = REEL_SHAPE(2, C), .lo = -1, .hi = 1},
               {.shape = REEL_SHAPE(2, C), .lo = -1, .hi = 1},
               {.shape = REEL_SHAPE(2, C), .lo = -1, .hi = 1},
               {.shape = REEL_SHAPE(C), .lo = -1, .hi = 1},
               {.dtype = REEL_I32, .shape = REEL_SHAPE(T, 3), .lo = 0, .hi = 30, .fixed = true}}};
    op_check_kernels(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large_results_equal_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
