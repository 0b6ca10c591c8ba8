/* Clips come back from a file bit for bit, and only in the size they are wanted in. */
#include "eval/clip_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "media/video_reader.h"
#include "support/op_check.h"

enum { W = 20, H = 16, F = 5, BYTES = 3 * W * H * F };

static void test_clip_file_keeps_every_bit(void **state) {
    (void)state;
    if (!REEL_FFMPEG) skip();
    reel_env *env = op_test_env(1);
    const reel_bucket size = {W, H, F, 1}, longer = {W, H, F + 1, 1}, wider = {W + 4, H, F, 1};
    static uint8_t rgb[BYTES], back[2 * BYTES];
    char path[64];
    snprintf(path, sizeof path, "/tmp/reel-clip-file-%ld.mkv", (long)getpid());
    for (int i = 0; i < BYTES; i++)
        rgb[i] = (uint8_t)(i * 37 % 251);
    assert_int_equal(reel_clip_file_write(env, path, &size, 7.5, "a recipe", rgb), REEL_OK);
    assert_int_equal(reel_clip_file_read(env, path, &size, back), REEL_OK);
    assert_memory_equal(rgb, back, BYTES);
    reel_video_reader *reader;
    assert_int_equal(reel_video_reader_open(env, path, NULL, &reader), REEL_OK);
    const reel_video_info info = reel_video_reader_info(reader);
    assert_string_equal(info.comment, "a recipe");
    assert_int_equal(2 * info.fps.num, 15 * info.fps.den);
    reel_video_reader_close(&reader);
    assert_int_equal(reel_clip_file_read(env, path, &longer, back), REEL_E_FORMAT);
    assert_non_null(strstr(reel_env_message(env), "wanted 20x16 with 6"));
    reel_env_clear(env);
    assert_int_equal(reel_clip_file_read(env, path, &wider, back), REEL_E_FORMAT);
    unlink(path);
    reel_env_free(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_clip_file_keeps_every_bit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
