/* Writer and reader together: what is written is read by ours and by nobody's else here; the tests
 * with FFmpeg's own programs as judges are in tests/e2e/media.sh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "media/video_reader.h"
#include "media/video_writer.h"
#include "support/media_place.h"

enum { W = 64, H = 48, N = 10, BYTES = W * H * 3 };

static void need_ffmpeg(void) {
    if (!REEL_FFMPEG) skip();
}

static reel_video_options small(void) {
    reel_video_options o = reel_video_options_default();
    o.width = W;
    o.height = H;
    o.fps = (reel_rational){16, 1};
    return o;
}

static reel_video_reader *open_ok(const media_place *p, const char *name,
                                  const reel_reader_options *options) {
    char path[200];
    reel_video_reader *r = NULL;
    const reel_status status =
        reel_video_reader_open(p->env, media_place_path(p, name, path), options, &r);
    if (status != REEL_OK) fail_msg("%s", reel_env_message(p->env));
    return r;
}

static void expect_ok(const media_place *p, reel_status status) {
    if (status != REEL_OK) fail_msg("%s", reel_env_message(p->env));
}

/* Reads all frames, each at least floor_db close to what was written; returns how many. */
static int compare_frames(const media_place *p, reel_video_reader *r, double floor_db) {
    static uint8_t got[BYTES], wanted[BYTES];
    int n = 0;
    for (bool more = true;; n++) {
        expect_ok(p, reel_video_reader_next(r, got, &more));
        if (!more) return n;
        media_frame(n, W, H, wanted);
        const double db = media_psnr(got, wanted, BYTES);
        if (db < floor_db) fail_msg("frame %d: %.1f dB, wanted %.1f", n, db, floor_db);
    }
}

static void check_round_trip(const media_place *p, const char *name, double floor_db) {
    reel_video_options o = small();
    o.comment = "{\"prompt\":\"ein Papierboot \xe2\x80\x94 \xe7\xba\xb8\xe8\x88\xb9\",\"seed\":7}";
    expect_ok(p, media_write(p, name, &o, N));
    assert_int_equal(media_place_count(p), 1);
    reel_video_reader *r = open_ok(p, name, NULL);
    const reel_video_info info = reel_video_reader_info(r);
    assert_int_equal(info.width, W);
    assert_int_equal(info.height, H);
    assert_string_equal(info.comment, o.comment);
    if (strstr(name, ".gif") == NULL) /* a hundredth of a second is its unit */
        assert_true(info.fps.num == 16 * info.fps.den);
    assert_true(info.seconds > N / 16.0 - 0.011 && info.seconds < N / 16.0 + 0.011);
    int64_t counted = 0;
    expect_ok(p, reel_video_reader_count(r, &counted));
    assert_int_equal(counted, N);
    assert_int_equal(compare_frames(p, r, floor_db), N);
    reel_video_reader_close(&r);
    media_place_remove(p, name);
}

static void test_video_mp4_round_trip(void **state) {
    need_ffmpeg();
    check_round_trip(*state, "a.mp4", 36);
}

static void test_video_webm_round_trip(void **state) {
    need_ffmpeg();
    check_round_trip(*state, "a.webm", 34);
}

static void test_video_gif_round_trip(void **state) {
    need_ffmpeg();
    check_round_trip(*state, "a.gif", 28);
}

static void test_video_ffv1_is_lossless(void **state) {
    need_ffmpeg();
    check_round_trip(*state, "a.mkv", 99);
}

static void test_video_png_is_lossless_and_keeps_the_comment(void **state) {
    need_ffmpeg();
    media_place *p = *state;
    static uint8_t noise[33 * 17 * 3];
    media_noise(1, 33, 17, noise);
    char path[200];
    media_place_path(p, "a.png", path);
    const reel_picture picture = {noise, 33, 17};
    static const char *const comment[] = {"{\"seed\":1}", "{\"prompt\":\"\xe7\xba\xb8\"}", NULL};
    for (int i = 0; i < 3; i++) {
        expect_ok(p, reel_picture_write(p->env, path, &picture, comment[i]));
        reel_picture back = {0};
        expect_ok(p, reel_picture_read(p->env, path, &back));
        assert_int_equal(back.width, 33);
        assert_int_equal(back.height, 17);
        assert_memory_equal(back.pixels, noise, sizeof noise);
        reel_picture_deinit(p->env, &back);
        reel_video_reader *r = open_ok(p, "a.png", NULL);
        const reel_video_info info = reel_video_reader_info(r);
        assert_true(info.is_picture);
        assert_int_equal(info.n_frames, 1);
        if (comment[i])
            assert_string_equal(info.comment, comment[i]);
        else
            assert_null(info.comment);
        reel_video_reader_close(&r);
    }
    media_place_remove(p, "a.png");
}

static void read_all(const media_place *p, const char *name, char **data, int64_t *bytes) {
    char path[200];
    expect_ok(p, reel_file_read(p->env, media_place_path(p, name, path), 1 << 24, data, bytes));
}

static void test_video_same_frames_give_the_same_bytes(void **state) {
    need_ffmpeg();
    media_place *p = *state;
    static const char *const name[][2] = {{"a.mp4", "b.mp4"},
                                          {"a.webm", "b.webm"},
                                          {"a.gif", "b.gif"},
                                          {"a.mkv", "b.mkv"},
                                          {"a.png", "b.png"}};
    for (int i = 0; i < 5; i++) {
        char *data[2];
        int64_t bytes[2];
        reel_video_options o = small();
        o.comment = "x";
        for (int k = 0; k < 2; k++) {
            expect_ok(p, media_write(p, name[i][k], &o, i == 4 ? 1 : N));
            read_all(p, name[i][k], &data[k], &bytes[k]);
            media_place_remove(p, name[i][k]);
        }
        if (bytes[0] != bytes[1])
            fail_msg("%s: %lld bytes, then %lld", name[i][0], (long long)bytes[0],
                     (long long)bytes[1]);
        assert_memory_equal(data[0], data[1], bytes[0]);
        assert_null(memmem(data[0], (size_t)bytes[0], "x264", 4));
        assert_null(memmem(data[0], (size_t)bytes[0], "Lavf5", 5));
        for (int k = 0; k < 2; k++)
            reel_free(p->env, data[k]);
    }
}

static void test_video_mp4_has_its_index_in_front(void **state) {
    need_ffmpeg();
    media_place *p = *state;
    const reel_video_options o = small();
    char *data = NULL;
    int64_t bytes = 0;
    expect_ok(p, media_write(p, "a.mp4", &o, N));
    read_all(p, "a.mp4", &data, &bytes);
    const char *moov = memmem(data, (size_t)bytes, "moov", 4);
    const char *mdat = memmem(data, (size_t)bytes, "mdat", 4);
    assert_non_null(moov);
    assert_non_null(mdat);
    assert_true(moov < mdat);
    reel_free(p->env, data);
    media_place_remove(p, "a.mp4");
}

static void test_video_odd_size_keeps_its_size_and_says_so(void **state) {
    need_ffmpeg();
    media_place *p = *state;
    static const char *const name[] = {"a.mp4", "a.webm", "a.mkv", "a.gif"};
    for (int i = 0; i < 4; i++) {
        reel_video_options o = small();
        o.width = 33;
        o.height = 17;
        p->n_warnings = 0;
        expect_ok(p, media_write(p, name[i], &o, 3));
        assert_int_equal(p->n_warnings, i == 0 ? 1 : 0);
        reel_video_reader *r = open_ok(p, name[i], NULL);
        const reel_video_info info = reel_video_reader_info(r);
        assert_int_equal(info.width, 33);
        assert_int_equal(info.height, 17);
        reel_video_reader_close(&r);
        media_place_remove(p, name[i]);
    }
}

static void test_video_sequence_numbers_its_pictures(void **state) {
    need_ffmpeg();
    media_place *p = *state;
    const reel_video_options o = small();
    expect_ok(p, media_write(p, "s/%04d.png", &o, 3));
    static uint8_t wanted[BYTES];
    for (int i = 0; i < 3; i++) {
        char name[32], path[200];
        snprintf(name, sizeof name, "s/%04d.png", i + 1);
        reel_picture back = {0};
        expect_ok(p, reel_picture_read(p->env, media_place_path(p, name, path), &back));
        media_frame(i, W, H, wanted);
        assert_memory_equal(back.pixels, wanted, BYTES);
        reel_picture_deinit(p->env, &back);
        media_place_remove(p, name);
    }
    char path[200];
    assert_int_equal(rmdir(media_place_path(p, "s", path)), 0);
}

static void test_video_aborted_leaves_nothing(void **state) {
    need_ffmpeg();
    media_place *p = *state;
    static const char *const name[] = {"a.mp4", "a.webm", "a.gif", "a.mkv", "a.png", "s/%d.png"};
    static uint8_t pixels[BYTES];
    for (int i = 0; i < 6; i++) {
        char path[200];
        reel_video_writer *w = NULL;
        const reel_video_options o = small();
        media_place_path(p, name[i], path);
        if (i < 5) expect_ok(p, reel_file_write(p->env, path, "old", 3));
        expect_ok(p, reel_video_writer_open(p->env, path, &o, &w));
        expect_ok(p, reel_video_writer_push(w, pixels));
        reel_video_writer_close(&w);
        assert_null(w);
        if (i == 5) continue;
        char *data = NULL;
        int64_t bytes = 0;
        read_all(p, name[i], &data, &bytes);
        assert_string_equal(data, "old");
        reel_free(p->env, data);
        media_place_remove(p, name[i]);
    }
    assert_int_equal(media_place_count(p), 0);
}

static void test_video_full_disk_leaves_nothing(void **state) {
    need_ffmpeg();
    media_place *p = *state;
    static const char *const name[] = {"a.mp4", "a.webm", "a.gif", "a.mkv", "a.png"};
    struct rlimit old, low;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    void (*const handler)(int) = signal(SIGXFSZ, SIG_IGN);
    low = old;
    low.rlim_cur = 300;
    for (int i = 0; i < 5; i++) {
        reel_video_options o = small();
        o.crf = 1;
        if (i >= 2) o.crf = -1;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
        const reel_status status = media_write(p, name[i], &o, i == 4 ? 1 : 4);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        if (status != REEL_E_IO) fail_msg("%s: %s", name[i], reel_status_name(status));
        assert_non_null(strstr(reel_env_message(p->env), name[i]));
        assert_non_null(strstr(reel_env_message(p->env), "cannot write"));
        reel_env_clear(p->env);
        assert_int_equal(media_place_count(p), 0);
    }
    signal(SIGXFSZ, handler);
}

static void expect_refused(media_place *p, const char *name, const reel_video_options *o,
                           const char *reason) {
    char path[200];
    reel_video_writer *w = NULL;
    assert_int_equal(reel_video_writer_open(p->env, media_place_path(p, name, path), o, &w),
                     REEL_E_ARG);
    assert_null(w);
    if (!strstr(reel_env_message(p->env), reason))
        fail_msg("wanted '%s' in '%s'", reason, reel_env_message(p->env));
    reel_env_clear(p->env);
}

static void test_video_writer_refuses_nonsense(void **state) {
    need_ffmpeg();
    media_place *p = *state;
    reel_video_options o = small();
    expect_refused(p, "a.avi", &o, "says no format");
    expect_refused(p, "a", &o, "says no format");
    expect_refused(p, "a%s.png", &o, "%d or %0Nd");
    expect_refused(p, "a%d%d.png", &o, "%d or %0Nd");
    o.width = 0;
    expect_refused(p, "a.mp4", &o, "0x48");
    o = small();
    o.height = 20000;
    expect_refused(p, "a.mp4", &o, "64x20000");
    o = small();
    o.fps = (reel_rational){0, 1};
    expect_refused(p, "a.mp4", &o, "0/1");
    o.fps = (reel_rational){2147483647, 1};
    expect_refused(p, "a.mp4", &o, "frames a second");
    o = small();
    o.crf = 52;
    expect_refused(p, "a.mp4", &o, "crf 52");
    o = small();
    o.comment = "\xff";
    expect_refused(p, "a.mp4", &o, "UTF-8");
    o = small();
    assert_int_equal(media_write(p, "a.mp4", &o, 0), REEL_E_ARG);
    assert_non_null(strstr(reel_env_message(p->env), "no frame"));
    reel_env_clear(p->env);
    assert_int_equal(media_write(p, "a.png", &o, 2), REEL_E_ARG);
    assert_non_null(strstr(reel_env_message(p->env), "second frame"));
    reel_env_clear(p->env);
    assert_int_equal(media_place_count(p), 0);
}

static void test_video_large_comment_survives(void **state) {
    need_ffmpeg();
    media_place *p = *state;
    enum { ROOM = 65536 };
    static char comment[ROOM + 1];
    for (int i = 0; i < ROOM; i++)
        comment[i] = (char)('a' + i % 26);
    static const char *const name[] = {"a.mp4", "a.webm", "a.gif", "a.mkv", "a.png"};
    for (int i = 0; i < 5; i++) {
        reel_video_options o = small();
        o.comment = comment;
        expect_ok(p, media_write(p, name[i], &o, 1));
        reel_video_reader *r = open_ok(p, name[i], NULL);
        assert_string_equal(reel_video_reader_info(r).comment, comment);
        reel_video_reader_close(&r);
        media_place_remove(p, name[i]);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, media_place_make, media_place_free)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_video_mp4_round_trip),
        TEST(test_video_webm_round_trip),
        TEST(test_video_gif_round_trip),
        TEST(test_video_ffv1_is_lossless),
        TEST(test_video_png_is_lossless_and_keeps_the_comment),
        TEST(test_video_same_frames_give_the_same_bytes),
        TEST(test_video_mp4_has_its_index_in_front),
        TEST(test_video_odd_size_keeps_its_size_and_says_so),
        TEST(test_video_sequence_numbers_its_pictures),
        TEST(test_video_aborted_leaves_nothing),
        TEST(test_video_full_disk_leaves_nothing),
        TEST(test_video_writer_refuses_nonsense),
        TEST(test_video_large_comment_survives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
