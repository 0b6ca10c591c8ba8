#include "pipeline/streaming.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "ops/linear.h"
#include "ops/ops.h"
#include "support/op_check.h"

enum { LAYERS = 8, SIDE = 512, BYTES = SIDE * SIDE * 4 };

typedef struct rig {
    reel_env *env;
    reel_safetensors_set *files;
    reel_params *params;
    reel_kernel_table *table;
    reel_tape *tape;
    reel_plan *plan;
    reel_var out;
    char path[64];
    int64_t idle_bytes;
    float x[SIDE];
} rig;

static void must(const rig *r, reel_status status) {
    if (status != REEL_OK) fail_msg("%s", reel_env_message(r->env));
}

static void write_file(rig *r) {
    static char name[LAYERS][8];
    reel_named_tensor tensor[LAYERS];
    float *w = malloc(BYTES);
    for (int i = 0; i < SIDE * SIDE; i++)
        w[i] = (float)(i % 37) * 1e-3f - 0.02f;
    for (int i = 0; i < LAYERS; i++) {
        snprintf(name[i], sizeof name[i], "w%d", i);
        tensor[i] = (reel_named_tensor){
            name[i], {.dtype = REEL_F32, .shape = REEL_SHAPE(SIDE, SIDE), .data = w}};
    }
    must(r, reel_safetensors_write(r->env, r->path, tensor, LAYERS, NULL, 0));
    free(w);
}

/* A chain of linear layers, the first of which is used again at the end. */
static void open_rig(rig *r) {
    memset(r, 0, sizeof *r);
    r->env = op_test_env(1);
    r->idle_bytes = r->env->allocator.bytes;
    snprintf(r->path, sizeof r->path, "/tmp/reel-streaming-%ld.safetensors", (long)getpid());
    write_file(r);
    must(r, reel_safetensors_set_open(r->env, r->path, &r->files));
    must(r, reel_params_new(r->env, &r->params));
    must(r, reel_ops_reference_table(r->env, &r->table));
    must(r, reel_ops_tape_new(r->env, &r->tape));
    r->x[3] = 1;
    reel_var h = reel_tape_input(r->tape, REEL_F32, REEL_SHAPE(1, SIDE), "x", r->x);
    for (int i = 0; i < LAYERS; i++) {
        char name[8];
        reel_tensor t;
        snprintf(name, sizeof name, "w%d", i);
        must(r, reel_safetensors_set_get(r->files, name, &t));
        must(r, reel_params_set(r->params, name, t.dtype, t.shape, t.data));
    }
    for (int i = 0; i <= LAYERS; i++) {
        reel_param *p = reel_params_at(r->params, i % LAYERS);
        h = reel_linear(r->tape, h, reel_params_record(r->params, p, r->tape), 0, REEL_ACT_NONE,
                        REEL_F32);
    }
    r->out = h;
    reel_tape_keep(r->tape, h);
    must(r, reel_plan_new(r->tape, r->table, NULL, &r->plan));
}

static void close_rig(rig *r) {
    reel_plan_free(&r->plan);
    reel_tape_free(&r->tape);
    reel_kernel_table_free(r->env, &r->table);
    reel_params_free(&r->params);
    reel_safetensors_set_close(&r->files);
    unlink(r->path);
    assert_int_equal(r->env->allocator.bytes, r->idle_bytes);
    reel_env_free(&r->env);
}

/* Bytes of the mapped file that this process holds; -1 when the system does not say. */
static int64_t held(const rig *r) {
    FILE *maps = fopen("/proc/self/smaps", "r");
    if (!maps) return -1;
    char line[512];
    bool ours = false;
    int64_t bytes = -1;
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2) ours = strstr(line, r->path) != NULL;
        if (ours && strncmp(line, "Rss:", 4) == 0) bytes = strtoll(line + 4, NULL, 10) * 1024;
    }
    fclose(maps);
    return bytes;
}

static void test_streaming_drops_each_weight_after_its_last_use(void **state) {
    (void)state;
    if (getenv("REEL_EMULATED")) skip(); /* qemu does not pass on that pages may be dropped */
    rig r;
    open_rig(&r);
    float whole[SIDE];
    must(&r, reel_plan_run(r.plan, NULL));
    memcpy(whole, reel_plan_data(r.plan, r.out), sizeof whole);
    const int64_t all = held(&r);
    if (all < 0) skip();
    assert_true(all >= LAYERS * (int64_t)BYTES);
    reel_streaming streaming;
    must(&r, reel_streaming_init(r.env, r.files, r.params, r.plan, NULL, NULL, &streaming));
    assert_int_equal(streaming.n, LAYERS);
    assert_int_equal(streaming.drop[LAYERS - 1].after, LAYERS); /* w0, used again */
    for (int round = 0; round < 2; round++) {
        must(&r, reel_plan_run(r.plan, NULL));
        assert_memory_equal(reel_plan_data(r.plan, r.out), whole, sizeof whole);
        assert_true(held(&r) < BYTES);
    }
    assert_int_equal(reel_streaming_window(r.params, r.plan), BYTES);
    reel_plan_set_after(r.plan, NULL, NULL);
    reel_streaming_deinit(&streaming);
    close_rig(&r);
}

static reel_status count(void *context) {
    return ++*(int *)context == 4 ? REEL_E_CANCELLED : REEL_OK;
}

static void test_streaming_tick_stops_a_run(void **state) {
    (void)state;
    rig r;
    open_rig(&r);
    int n = 0;
    reel_streaming streaming;
    must(&r, reel_streaming_init(r.env, NULL, r.params, r.plan, count, &n, &streaming));
    assert_int_equal(reel_plan_run(r.plan, NULL), REEL_E_CANCELLED);
    assert_int_equal(n, 4);
    reel_streaming_deinit(&streaming);
    close_rig(&r);
}

static void test_streaming_leaves_weights_of_our_own_alone(void **state) {
    (void)state;
    rig r;
    open_rig(&r);
    float *own = malloc(BYTES);
    reel_param *p = reel_params_at(r.params, 2);
    memcpy(own, p->data, BYTES);
    p->data = own; /* as if it had been converted */
    reel_streaming streaming;
    must(&r, reel_streaming_init(r.env, r.files, r.params, r.plan, NULL, NULL, &streaming));
    assert_int_equal(streaming.n, LAYERS - 1);
    reel_streaming_deinit(&streaming);
    free(own);
    close_rig(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streaming_drops_each_weight_after_its_last_use),
        cmocka_unit_test(test_streaming_tick_stops_a_run),
        cmocka_unit_test(test_streaming_leaves_weights_of_our_own_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
