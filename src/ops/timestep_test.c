#include "ops/timestep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

#include "support/op_check.h"

static reel_var build(reel_tape *t, const reel_var *in, const void *context) {
    return reel_timestep(t, in[0], *(const reel_timestep_attr *)context);
}

static op_case of(const char *name, const reel_timestep_attr *attr, reel_shape t) {
    return (op_case){.name = name,
                     .build = build,
                     .context = attr,
                     .n_in = 1,
                     .no_gradient = true,
                     .in = {{.shape = t, .lo = 0, .hi = 1000, .fixed = true}}};
}

/* Values of diffusers' get_timestep_embedding and DiT's timestep_embedding, in double precision. */
static void test_timestep_has_hand_values(void **state) {
    (void)state;
    const reel_timestep_attr dit = {
        .dim = 4, .flip_sin_to_cos = 1, .scale = 1, .max_period = 10000};
    const float levels[3] = {0, 1, 999};
    op_case c = of("dit", &dit, REEL_SHAPE(3));
    c.in[0].value = levels;
    op_check_values(&c,
                    (const float[]){1, 1, 0, 0, 0.540302306f, 0.99995f, 0.841470985f,
                                    0.00999983333f, 0.999649853f, -0.844469696f, -0.0264607527f,
                                    -0.535603335f},
                    12, 1e-7);
    const reel_timestep_attr shifted = {
        .dim = 7, .downscale_freq_shift = 1, .scale = 1, .max_period = 10000};
    c = of("odd dim, sines first, shift 1", &shifted, REEL_SHAPE(1));
    c.in[0].value = (const float[]){2.5f};
    op_check_values(&c,
                    (const float[]){0.598472144f, 0.0249973959f, 0.000249999997f, -0.801143616f,
                                    0.999687516f, 0.999999969f, 0},
                    7, 1e-7);
    const reel_timestep_attr scaled = {.dim = 4, .scale = 1000, .max_period = 100};
    c = of("scale 1000, period 100", &scaled, REEL_SHAPE(1));
    c.in[0].value = (const float[]){0.5f};
    op_check_values(&c, (const float[]){-0.467771805f, -0.262374854f, -0.883849273f, 0.964966028f},
                    4, 1e-7);
}

static void test_timestep_checks_at_odd_sizes(void **state) {
    (void)state;
    reel_timestep_attr attr = reel_timestep_attr_default();
    op_case c = of("default", &attr, REEL_SHAPE(7));
    op_check(&c);
    c = of("per token", &attr, REEL_SHAPE(3, 129));
    op_check(&c);
    c.in[0].lo = -20000; /* beyond what is asked of it: angles of many turns */
    c.in[0].hi = 20000;
    op_check(&c);
    attr = (reel_timestep_attr){
        .dim = 37, .downscale_freq_shift = 1, .scale = 1000, .max_period = 10000};
    c = of("odd, scaled", &attr, REEL_SHAPE(2, 3, 5));
    c.in[0].hi = 1;
    op_check(&c);
    attr.dim = 2;
    attr.downscale_freq_shift = 0;
    c = of("dim 2", &attr, REEL_SHAPE(0));
    op_check(&c);
}

static void test_timestep_gives_nan_for_what_is_no_number(void **state) {
    (void)state;
    const reel_timestep_attr attr = reel_timestep_attr_default();
    op_case c = of("adversarial", &attr, REEL_SHAPE(5));
    c.in[0].value = (const float[]){NAN, INFINITY, -INFINITY, -0.0f, 1e-30f};
    op_check_kernels(&c);
}

static void test_timestep_refuses_misfits(void **state) {
    (void)state;
    reel_timestep_attr attr = reel_timestep_attr_default();
    op_case c = of("dtype", &attr, REEL_SHAPE(3));
    c.in[0].dtype = REEL_I64;
    op_check_refused(&c, REEL_E_SHAPE, "timestep: t must be f32, got i64", NULL);
    c = of("rank", &attr, REEL_SHAPE(1, 1, 1, 1, 1, 1));
    op_check_refused(&c, REEL_E_SHAPE, "leaves no axis", NULL);
    c = of("dim", &attr, REEL_SHAPE(3));
    attr.dim = 1;
    op_check_refused(&c, REEL_E_ARG, "needs dim >= 2", "got 1");
    attr = reel_timestep_attr_default();
    attr.max_period = 0;
    op_check_refused(&c, REEL_E_ARG, "a period > 0", "and 0");
    attr = reel_timestep_attr_default();
    attr.downscale_freq_shift = 128;
    op_check_refused(&c, REEL_E_ARG, "shift < dim/2", "128");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timestep_has_hand_values),
        cmocka_unit_test(test_timestep_checks_at_odd_sizes),
        cmocka_unit_test(test_timestep_gives_nan_for_what_is_no_number),
        cmocka_unit_test(test_timestep_refuses_misfits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
