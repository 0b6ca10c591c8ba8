#include "pipeline/canvas.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "support/op_check.h"

typedef struct rig {
    reel_env *env;
    reel_canvas canvas; /* [2,3,4,6] */
    int64_t idle_bytes;
} rig;

static void open_rig(rig *r) {
    *r = (rig){.env = op_test_env(1)};
    r->idle_bytes = r->env->allocator.bytes;
    assert_int_equal(reel_canvas_init(r->env, 2, 3, 4, 6, &r->canvas), REEL_OK);
}

static void close_rig(rig *r) {
    reel_canvas_deinit(&r->canvas);
    assert_int_equal(r->env->allocator.bytes, r->idle_bytes);
    reel_env_free(&r->env);
}

static void refused(rig *r, reel_status status, const char *part) {
    assert_int_equal(status, REEL_E_ARG);
    if (!strstr(reel_env_message(r->env), part))
        fail_msg("'%s' lacks '%s'", reel_env_message(r->env), part);
    reel_env_clear(r->env);
}

static void test_canvas_begins_as_noise(void **state) {
    (void)state;
    rig r;
    open_rig(&r);
    assert_true(reel_canvas_is_noise(&r.canvas));
    assert_int_equal(reel_canvas_elements(&r.canvas), 144);
    assert_int_equal(reel_canvas_positions(&r.canvas), 72);
    close_rig(&r);
}

static void test_canvas_put_lands_in_its_frames_of_every_channel(void **state) {
    (void)state;
    rig r;
    open_rig(&r);
    float latents[2 * 24];
    for (int i = 0; i < 48; i++)
        latents[i] = (float)(i + 1);
    assert_int_equal(reel_canvas_put(&r.canvas, 1, 1, latents, 0.25), REEL_OK);
    for (int c = 0; c < 2; c++)
        for (int f = 0; f < 3; f++)
            for (int i = 0; i < 24; i++) {
                const float want = f == 1 ? (float)(c * 24 + i + 1) : 0;
                assert_true(r.canvas.known[(c * 3 + f) * 24 + i] == want);
                assert_true(r.canvas.level[f * 24 + i] == (f == 1 ? 0.25f : 1.0f));
            }
    assert_false(reel_canvas_is_noise(&r.canvas));
    close_rig(&r);
}

static void test_canvas_align_gives_a_patch_its_highest_level(void **state) {
    (void)state;
    rig r;
    open_rig(&r);
    float latents[48] = {0}, mask[24];
    assert_int_equal(reel_canvas_put(&r.canvas, 2, 1, latents, 0), REEL_OK);
    for (int i = 0; i < 24; i++)
        mask[i] = 0;
    mask[1 * 6 + 3] = 0.5f; /* row 1, column 3: the patch of rows 0..1, columns 2..3 */
    mask[3 * 6 + 5] = 1;    /* the last patch */
    assert_int_equal(reel_canvas_mask(&r.canvas, 2, 1, mask), REEL_OK);
    reel_canvas_align(&r.canvas, (const int64_t[]){1, 2, 2});
    for (int y = 0; y < 4; y++)
        for (int x = 0; x < 6; x++) {
            const float want = y / 2 == 0 && x / 2 == 1 ? 0.5f : y / 2 == 1 && x / 2 == 2 ? 1 : 0;
            assert_true(r.canvas.level[48 + y * 6 + x] == want);
        }
    close_rig(&r);
}

static void test_canvas_align_takes_patches_cut_by_the_border(void **state) {
    (void)state;
    rig r;
    open_rig(&r);
    float latents[2 * 24] = {0}, mask[24] = {0};
    assert_int_equal(reel_canvas_put(&r.canvas, 0, 1, latents, 0), REEL_OK);
    mask[23] = 0.75f;
    assert_int_equal(reel_canvas_mask(&r.canvas, 0, 1, mask), REEL_OK);
    reel_canvas_align(&r.canvas, (const int64_t[]){2, 3, 4}); /* frame 1 is noise: so is frame 0 */
    for (int i = 0; i < 48; i++)
        assert_true(r.canvas.level[i] == 1);
    close_rig(&r);
}

static void test_canvas_what_does_not_fit_is_refused(void **state) {
    (void)state;
    rig r;
    open_rig(&r);
    float latents[144] = {0}, mask[72] = {0};
    refused(&r, reel_canvas_put(&r.canvas, 2, 2, latents, 0),
            "frames 2..3 do not lie inside its 3");
    refused(&r, reel_canvas_put(&r.canvas, -1, 1, latents, 0), "frames -1..-1");
    refused(&r, reel_canvas_put(&r.canvas, INT64_MAX, 1, latents, 0), "do not lie inside");
    refused(&r, reel_canvas_put(&r.canvas, 0, 1, latents, 1.5), "0..1, got 1.5");
    refused(&r, reel_canvas_put(&r.canvas, 0, 1, latents, (double)NAN), "0..1, got nan");
    refused(&r, reel_canvas_mask(&r.canvas, 0, 3, mask), "nothing is known");
    assert_int_equal(reel_canvas_put(&r.canvas, 0, 1, latents, 0), REEL_OK);
    mask[5] = -0.5f;
    refused(&r, reel_canvas_mask(&r.canvas, 0, 1, mask), "0..1, got -0.5");
    reel_canvas other = {0};
    refused(&r, reel_canvas_init(r.env, 16, 0, 8, 8, &other), "[16,0,8,8]");
    refused(&r, reel_canvas_init(r.env, 1 << 20, 1 << 20, 1 << 20, 1 << 20, &other), "2^40");
    close_rig(&r);
}

static void test_canvas_without_memory_is_left_as_it_was(void **state) {
    (void)state;
    rig r;
    open_rig(&r);
    float latents[48] = {0};
    for (int k = 1; k <= 2; k++) {
        reel_alloc_fail_at(r.env, k);
        assert_int_equal(reel_canvas_put(&r.canvas, 0, 1, latents, 0), REEL_E_NOMEM);
        reel_alloc_fail_at(r.env, 0);
        reel_env_clear(r.env);
        assert_true(reel_canvas_is_noise(&r.canvas));
        assert_int_equal(r.env->allocator.bytes, r.idle_bytes);
    }
    close_rig(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canvas_begins_as_noise),
        cmocka_unit_test(test_canvas_put_lands_in_its_frames_of_every_channel),
        cmocka_unit_test(test_canvas_align_gives_a_patch_its_highest_level),
        cmocka_unit_test(test_canvas_align_takes_patches_cut_by_the_border),
        cmocka_unit_test(test_canvas_what_does_not_fit_is_refused),
        cmocka_unit_test(test_canvas_without_memory_is_left_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
