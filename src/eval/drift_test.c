#include "eval/drift.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "media/video_writer.h"
#include "support/op_check.h"

enum { W = 16, H = 16, FRAME = 3 * W * H };

static void near(double a, double b) {
    if (fabs(a - b) > 1e-9) fail_msg("got %.9g, wanted %.9g", a, b);
}

static void test_drift_figures_of_flat_frames(void **state) {
    (void)state;
    uint8_t rgb[2 * FRAME];
    for (int i = 0; i < 2 * FRAME; i++)
        rgb[i] = (uint8_t)(i % 3 == 0 ? 255 : i % 3 == 1 ? 51 : 0);
    const reel_drift_figures f = reel_drift_measure(2, H, W, rgb);
    near(f.mean[0], 1);
    near(f.mean[1], 0.2);
    near(f.mean[2], 0);
    near(f.saturation, 1);
    near(f.contrast + f.sharpness + f.motion, 0);
}

static void test_drift_figures_of_stripes_that_move(void **state) {
    (void)state;
    uint8_t rgb[2 * FRAME];
    for (int f = 0; f < 2; f++)
        for (int i = 0; i < W * H; i++)
            memset(rgb + f * FRAME + 3 * i, (i + f) % 2 ? 255 : 0, 3);
    const reel_drift_figures f = reel_drift_measure(2, H, W, rgb);
    near(f.contrast, 0.5);
    near(f.sharpness, 1);
    near(f.motion, 1);
    near(f.saturation, 0);
}

static void write_clip(reel_env *env, const char *path, int frames) {
    uint8_t pixels[FRAME];
    reel_video_writer *writer;
    reel_video_options o = reel_video_options_default();
    o.width = W;
    o.height = H;
    o.fps = (reel_rational){2, 1};
    assert_int_equal(reel_video_writer_open(env, path, &o, &writer), REEL_OK);
    for (int i = 0; i < frames; i++) { /* 51 in the first five seconds, then 102 */
        memset(pixels, i < 10 ? 51 : 102, sizeof pixels);
        assert_int_equal(reel_video_writer_push(writer, pixels), REEL_OK);
    }
    assert_int_equal(reel_video_writer_finish(writer), REEL_OK);
    reel_video_writer_close(&writer);
}

static void test_drift_compares_both_ends(void **state) {
    (void)state;
    if (!REEL_FFMPEG) skip();
    reel_env *env = op_test_env(1);
    char path[64];
    snprintf(path, sizeof path, "/tmp/reel-drift-%ld.mkv", (long)getpid());
    const char *const clip[] = {path};
    const reel_drift_options o = {.clip = clip, .n_clips = 1};
    reel_scores report;
    reel_scores_init(&report, env);
    write_clip(env, path, 24);
    assert_int_equal(reel_drift_run(env, &o, &report), REEL_OK);
    near(reel_scores_find(&report, "drift", "first 5 s", "red")->value, 0.2);
    near(reel_scores_find(&report, "drift", "last 5 s", "red")->value, 0.4);
    near(reel_scores_find(&report, "drift", "apart", "color")->value, 0.2 * sqrt(3));
    near(reel_scores_find(&report, "drift", "apart", "motion")->value, 0);
    write_clip(env, path, 19);
    assert_int_equal(reel_drift_run(env, &o, &report), REEL_E_ARG);
    assert_non_null(strstr(reel_env_message(env), "19 frames"));
    reel_scores_deinit(&report);
    unlink(path);
    reel_env_free(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drift_figures_of_flat_frames),
        cmocka_unit_test(test_drift_figures_of_stripes_that_move),
        cmocka_unit_test(test_drift_compares_both_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
