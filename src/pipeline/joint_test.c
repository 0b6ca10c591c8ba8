#include "pipeline/joint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "support/op_check.h"

enum { W = 12, H = 8, BYTES = 3 * W * H, MOST = 40 };

typedef struct rig {
    reel_env *env;
    reel_joint *joint;
    int n;
    uint8_t got[MOST][BYTES];
} rig;

static reel_status take(void *context, const uint8_t *pixels) {
    rig *r = context;
    memcpy(r->got[r->n++], pixels, BYTES);
    return REEL_OK;
}

static void open_rig(rig *r, bool ends) {
    *r = (rig){.env = op_test_env(1)};
    const reel_joint_options o = {
        .width = W, .height = H, .frames = ends ? 8 : 20, .ends = ends, .sink = take, .context = r};
    assert_int_equal(reel_joint_open(r->env, &o, &r->joint), REEL_OK);
}

static void close_rig(rig *r) {
    reel_joint_close(&r->joint);
    reel_env_free(&r->env);
}

static const uint8_t *flat(int level) {
    static _Thread_local uint8_t pixels[4][BYTES];
    static _Thread_local int at;
    at = (at + 1) % 4;
    memset(pixels[at], level, BYTES);
    return pixels[at];
}

static void put(rig *r, int n, int level) {
    for (int i = 0; i < n; i++)
        assert_int_equal(reel_joint_put(r->joint, flat(level)), REEL_OK);
}

static void test_joint_takes_the_error_back_step_by_step(void **state) {
    (void)state;
    rig r;
    open_rig(&r, false);
    reel_joint_begin(r.joint, flat(134), flat(100)); /* the autoencoder is 34 too dark */
    put(&r, 20, 100);
    assert_int_equal(r.n, 20);
    for (int k = 0; k < 20; k++) /* 34 (1 - k / 17) */
        assert_int_equal(r.got[k][0], k < 16 ? 132 - 2 * k : 100);
    close_rig(&r);
}

static void test_joint_quarters_what_changes_at_it(void **state) {
    (void)state;
    rig r;
    open_rig(&r, false);
    reel_joint_begin(r.joint, flat(100), flat(100));
    put(&r, 20, 104); /* brighter from one latent frame to the next */
    assert_true(r.got[0][0] == 101 && r.got[15][0] == 104 && r.got[19][0] == 104);
    for (int k = 1; k < 20; k++)
        assert_true(r.got[k][0] >= r.got[k - 1][0]);
    close_rig(&r);
}

static void test_joint_drops_it_where_something_else_is(void **state) {
    (void)state;
    rig r;
    open_rig(&r, false);
    reel_joint_begin(r.joint, flat(134), flat(100));
    uint8_t pixels[BYTES];
    memset(pixels, 100, BYTES);
    for (int y = 0; y < H; y++)
        memset(pixels + 3 * W * y, 250, 3 * 3); /* three columns of something new */
    assert_int_equal(reel_joint_put(r.joint, pixels), REEL_OK);
    put(&r, 1, 100);
    assert_true(r.got[0][0] <= 251);
    assert_int_equal(r.got[0][3 * (W - 1)], 132);
    assert_true(r.got[1][0] <= 101); /* it does not come back */
    assert_int_equal(r.got[1][3 * (W - 1)], 130);
    close_rig(&r);
}

static void test_joint_before_a_clip_is_the_same_backwards(void **state) {
    (void)state;
    rig r;
    open_rig(&r, true);
    put(&r, 20, 100);
    assert_int_equal(r.n, 4); /* the others are held back */
    assert_int_equal(reel_joint_end(r.joint, flat(134), flat(100)), REEL_OK);
    assert_int_equal(r.n, 20);
    for (int k = 0; k < 20; k++)
        assert_int_equal(r.got[19 - k][0], k < 16 ? 132 - 2 * k : 100);
    close_rig(&r);
}

static void test_joint_on_both_sides_crosses_over(void **state) {
    (void)state;
    rig r;
    open_rig(&r, true);
    reel_joint_begin(r.joint, flat(117), flat(100));
    put(&r, 8, 100);
    assert_int_equal(reel_joint_end(r.joint, flat(117), flat(100)), REEL_OK);
    assert_int_equal(r.n, 8);
    for (int k = 0; k < 8; k++) /* one of them leaves as the other one comes */
        assert_true(abs(r.got[k][0] - 117) <= 1);
    close_rig(&r);
}

static void test_joint_without_a_neighbour_changes_nothing(void **state) {
    (void)state;
    rig r;
    open_rig(&r, true);
    put(&r, 3, 77);
    assert_int_equal(reel_joint_end(r.joint, NULL, NULL), REEL_OK);
    assert_int_equal(r.n, 3);
    assert_memory_equal(r.got[0], flat(77), BYTES);
    close_rig(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_joint_takes_the_error_back_step_by_step),
        cmocka_unit_test(test_joint_quarters_what_changes_at_it),
        cmocka_unit_test(test_joint_drops_it_where_something_else_is),
        cmocka_unit_test(test_joint_before_a_clip_is_the_same_backwards),
        cmocka_unit_test(test_joint_on_both_sides_crosses_over),
        cmocka_unit_test(test_joint_without_a_neighbour_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
