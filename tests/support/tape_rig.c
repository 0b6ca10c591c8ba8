#include "support/tape_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "support/op_check.h"

void tape_rig_open(tape_rig *rig) {
    *rig = (tape_rig){.env = op_test_env(1)};
    rig->idle_bytes = rig->env->allocator.bytes;
    if (reel_ops_reference_table(rig->env, &rig->table) != REEL_OK ||
        reel_ops_tape_new(rig->env, &rig->tape) != REEL_OK)
        fail_msg("%s", reel_env_message(rig->env));
    reel_tape_set_training(rig->tape, true);
}

void tape_rig_close(tape_rig *rig) {
    reel_plan_free(&rig->plan);
    reel_tape_free(&rig->tape);
    reel_kernel_table_free(rig->env, &rig->table);
    assert_int_equal(rig->env->allocator.bytes, rig->idle_bytes);
    reel_env_free(&rig->env);
}

void tape_rig_run(tape_rig *rig, const reel_plan_options *options) {
    reel_plan_free(&rig->plan);
    if (reel_plan_new(rig->tape, rig->table, options, &rig->plan) != REEL_OK ||
        reel_plan_run(rig->plan, NULL) != REEL_OK)
        fail_msg("%s", reel_env_message(rig->env));
}

const void *tape_rig_data(const tape_rig *rig, reel_var var) {
    const void *data = reel_plan_data(rig->plan, var);
    assert_non_null(data);
    return data;
}

void tape_rig_fill(float *x, int64_t n, uint64_t seed) {
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
    for (int64_t i = 0; i < n; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        x[i] = (float)(int32_t)(state >> 32) * 0x1p-31f;
    }
}

void tape_rig_expect_failure(tape_rig *rig, reel_status status, const char *part,
                             const char *other) {
    const char *message = reel_env_message(rig->env);
    if (reel_tape_status(rig->tape) != status)
        fail_msg("status %s, wanted %s: '%s'", reel_status_name(reel_tape_status(rig->tape)),
                 reel_status_name(status), message);
    if ((part && !strstr(message, part)) || (other && !strstr(message, other)))
        fail_msg("message '%s' lacks '%s' or '%s'", message, part, other ? other : "");
    reel_tape_reset(rig->tape);
    reel_env_clear(rig->env);
}
