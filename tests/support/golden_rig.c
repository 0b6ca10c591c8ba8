#include "support/golden_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "ops/ops.h"
#include "support/op_check.h"

void golden_rig_open(golden_rig *r, const char *folder, reel_dtype compute, reel_isa isa) {
    *r = (golden_rig){.env = op_test_env(2)};
    golden_open(&r->g, r->env, folder);
    r->params = golden_params_as(&r->g, compute);
    assert_int_equal(reel_ops_tape_new(r->env, &r->tape), REEL_OK);
    assert_int_equal(reel_cpu_table(r->env, isa, &r->table), REEL_OK);
}

void golden_rig_close(golden_rig *r) {
    reel_plan_free(&r->plan);
    reel_tape_free(&r->tape);
    reel_kernel_table_free(r->env, &r->table);
    reel_params_free(&r->params);
    golden_close(&r->g);
    reel_env_free(&r->env);
}

void golden_rig_run(golden_rig *r) {
    reel_plan_free(&r->plan);
    if (reel_plan_new(r->tape, r->table, NULL, &r->plan) != REEL_OK ||
        reel_plan_run(r->plan, NULL) != REEL_OK)
        fail_msg("%s", reel_env_message(r->env));
}

reel_var golden_rig_input(golden_rig *r, const char *name) {
    const reel_tensor x = golden_input(&r->g, name);
    return reel_tape_input(r->tape, x.dtype, x.shape, name, x.data);
}
