/* Checks that every op goes through: gradients against central differences, planned against
 * unplanned against eager, every instruction set against the reference, 1, 2 and 3 threads.
 *
 * A case records the op on a tape from random inputs; the harness does the rest. Failures are
 * reported through cmocka with the case's name, the tensor and the figures.
 */
#ifndef REEL_TESTS_OP_CHECK_H
#define REEL_TESTS_OP_CHECK_H

#include "ops/ops.h"

/* Records the op under test; returns the output to look at. */
typedef reel_var op_build(reel_tape *tape, const reel_var *in, const void *context);

typedef struct op_input {
    reel_dtype dtype;
    reel_shape shape;
    double lo, hi;      /* both 0: standard normal; else uniform in [lo,hi], integers: in [lo,hi) */
    bool fixed;         /* wants no gradient (masks, indices) */
    const float *value; /* given values instead of random ones, one for each element */
} op_input;

typedef struct op_case {
    const char *name;
    op_build *build;
    const void *context;
    op_input in[REEL_MAX_IN];
    int n_in;
    double
        tolerance; /* fast against reference, relative L2; 0: 2e-6 for f32, 1e-2 if bf16 occurs */
    double slack;  /* central differences, relative L2; 0: 2e-3 */
    bool no_gradient; /* the op has none (integers out) */
} op_case;

/* Everything below, for a case whose inputs are f32 or bf16 (central differences: f32 cases only).
 */
void op_check(const op_case *c);

/* Gradients of sum(r * y) by every float input that is not fixed, r random, with the reference
 * kernels, against central differences. */
void op_check_gradients(const op_case *c);
/* Planned, planned without in-place, unplanned and eager give the same bytes, with reference
 * kernels; no allocation while running; planned bytes equal peak bytes. */
void op_check_plans(const op_case *c);
/* Output and gradients at every level of the machine against the reference, and the same bytes at
 * 1, 2 and 3 threads. */
void op_check_kernels(const op_case *c);

/* Two ways to the same thing, a fused op and its composition: with reference kernels the outputs
 * and the gradients of the (same) inputs of `fused` agree with those of `composed` within tol. */
void op_check_same(const op_case *fused, const op_case *composed, double tol);

/* The op's output with reference kernels is `expected` (n values), within relative L2 tol. */
void op_check_values(const op_case *c, const float *expected, int n, double tol);
/* Recording fails, and the message contains each of the (non-NULL) parts. */
void op_check_refused(const op_case *c, reel_status status, const char *part, const char *other);

/* An environment for tests; n_threads lanes. Fails the test when it cannot be made. */
reel_env *op_test_env(int n_threads);

#endif
