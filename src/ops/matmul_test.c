#include "ops/matmul.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>

#include "support/op_check.h"

static reel_var build(reel_tape *t, const reel_var *in, const void *context) {
    return reel_matmul(t, in[0], in[1], *(const reel_matmul_attr *)context);
}

/* op(a) [B,M,K] times op(b) [B,K,N]; way: bit 0 a transposed, bit 1 b transposed. */
static op_case sized(const char *name, const reel_matmul_attr *attr, reel_dtype dtype, int64_t B,
                     const int64_t n[3]) {
    const int64_t M = n[0], N = n[1], K = n[2];
    return (op_case){
        .name = name,
        .build = build,
        .context = attr,
        .n_in = 2,
        .in = {{.dtype = dtype,
                .shape = attr->a_transposed ? REEL_SHAPE(B, K, M) : REEL_SHAPE(B, M, K)},
               {.dtype = dtype,
                .shape = attr->b_transposed ? REEL_SHAPE(B, N, K) : REEL_SHAPE(B, K, N)}}};
}

static void test_matmul_has_hand_values(void **state) {
    (void)state;
    const float a[4] = {1, 2, 3, 4}, b[4] = {5, 6, 7, 8};
    const float want[4][4] = {
        {19, 22, 43, 50}, {26, 30, 38, 44}, {17, 23, 39, 53}, {23, 31, 34, 46}};
    for (int way = 0; way < 4; way++) {
        const reel_matmul_attr attr = {way & 1, way >> 1, REEL_F32};
        op_case c = sized("hand", &attr, REEL_F32, 1, (const int64_t[]){2, 2, 2});
        c.in[0].value = a;
        c.in[1].value = b;
        op_check_values(&c, want[way], 4, 1e-7);
    }
}

static void test_matmul_checks_in_every_transposition(void **state) {
    (void)state;
    static const int64_t sizes[3][3] = {{5, 7, 3}, {1, 17, 9}, {9, 4, 1}};
    for (int way = 0; way < 4; way++)
        for (int i = 0; i < 3; i++) {
            char name[64];
            snprintf(name, sizeof name, "f32, way %d, size %d", way, i);
            const reel_matmul_attr attr = {way & 1, way >> 1, REEL_F32};
            const op_case c = sized(name, &attr, REEL_F32, 2, sizes[i]);
            op_check(&c);
        }
}

static void test_matmul_kernels_agree_at_odd_sizes(void **state) {
    (void)state;
    static const int64_t sizes[][3] = {{17, 33, 15}, {16, 63, 127}, {65, 31, 64}, {33, 1, 96}};
    for (int way = 0; way < 4; way++)
        for (int i = 0; i < 4; i++) {
            char name[64];
            snprintf(name, sizeof name, "bf16, way %d, size %d", way, i);
            const reel_matmul_attr attr = {way & 1, way >> 1, REEL_BF16};
            const op_case c = sized(name, &attr, REEL_BF16, 3, sizes[i]);
            op_check_kernels(&c);
        }
}

/* Several slices along K, several strips of a and panels of b, none of them whole: strips are
 * turned ahead across the ends of slices. */
static void test_matmul_kernels_agree_over_slices(void **state) {
    (void)state;
    static const int64_t sizes[][3] = {{45, 67, 1031}, {72, 48, 513}};
    static const reel_dtype dtypes[] = {REEL_F32, REEL_BF16};
    const reel_matmul_attr turned = {1, 0, REEL_F32};
    for (int d = 0; d < 2; d++)
        for (int i = 0; i < 2; i++) {
            char name[64];
            snprintf(name, sizeof name, "%s, size %d", reel_dtype_name(dtypes[d]), i);
            const op_case c = sized(name, &turned, dtypes[d], 2, sizes[i]);
            op_check_kernels(&c);
        }
}

static void test_matmul_refuses_misfits(void **state) {
    (void)state;
    const reel_matmul_attr plain = {0, 0, REEL_F32}, turned = {1, 0, REEL_F32};
    op_case c = sized("inner axis", &plain, REEL_F32, 2, (const int64_t[]){3, 4, 5});
    c.in[1].shape = REEL_SHAPE(2, 4, 5);
    op_check_refused(&c, REEL_E_SHAPE, "matmul: a [2,3,5]", "b [2,4,5]");
    c = sized("transposed", &turned, REEL_F32, 2, (const int64_t[]){3, 4, 5});
    c.in[0].shape = REEL_SHAPE(2, 3, 5);
    op_check_refused(&c, REEL_E_SHAPE, "a [2,3,5] transposed", NULL);
    c = sized("batch", &plain, REEL_F32, 2, (const int64_t[]){3, 4, 5});
    c.in[1].shape = REEL_SHAPE(3, 5, 4);
    op_check_refused(&c, REEL_E_SHAPE, "does not fit", NULL);
    c = sized("integers", &plain, REEL_F32, 2, (const int64_t[]){3, 4, 5});
    c.in[1].dtype = REEL_I32;
    op_check_refused(&c, REEL_E_SHAPE, "operand 1 must be a float type", "i32");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matmul_has_hand_values),
        cmocka_unit_test(test_matmul_checks_in_every_transposition),
        cmocka_unit_test(test_matmul_kernels_agree_at_odd_sizes),
        cmocka_unit_test(test_matmul_kernels_agree_over_slices),
        cmocka_unit_test(test_matmul_refuses_misfits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
