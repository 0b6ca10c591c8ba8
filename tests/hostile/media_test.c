/* Files that lie about being video: each is refused with its name and the reason, or read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "media/container.h"
#include "media/video_reader.h"
#include "support/media_place.h"

static void need_ffmpeg(void) {
    if (!REEL_FFMPEG) skip();
}

/* Reads a file to its end; returns the first failure. */
static reel_status read_through(const media_place *p, const char *name, int64_t *n_frames) {
    char path[200];
    reel_video_reader *r = NULL;
    *n_frames = 0;
    reel_status status = reel_video_reader_open(p->env, media_place_path(p, name, path), NULL, &r);
    if (status != REEL_OK) return status;
    int width, height;
    reel_video_reader_size(r, &width, &height);
    uint8_t *pixels = malloc(3 * (size_t)width * (size_t)height);
    for (bool got = true; status == REEL_OK && got;) {
        status = reel_video_reader_next(r, pixels, &got);
        *n_frames += got;
    }
    free(pixels);
    reel_video_reader_close(&r);
    return status;
}

static void expect_refused(const media_place *p, const char *name, reel_status wanted,
                           const char *reason) {
    int64_t n = 0;
    const reel_status status = read_through(p, name, &n);
    const char *message = reel_env_message(p->env);
    if (status != wanted)
        fail_msg("%s: %s, wanted %s (%s)", name, reel_status_name(status), reel_status_name(wanted),
                 message);
    if (!strstr(message, name) || !strstr(message, reason))
        fail_msg("wanted '%s' and '%s' in '%s'", name, reason, message);
    reel_env_clear(p->env);
}

/* Without the sync of reel's own writer, which would make hundreds of files slow. */
static void put(const media_place *p, const char *name, const void *data, int64_t bytes) {
    char path[200];
    FILE *file = fopen(media_place_path(p, name, path), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, (size_t)bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

static void get(const media_place *p, const char *name, char **data, int64_t *bytes) {
    char path[200];
    assert_int_equal(reel_file_read(p->env, media_place_path(p, name, path), 1 << 24, data, bytes),
                     REEL_OK);
}

static reel_video_options small(void) {
    reel_video_options o = reel_video_options_default();
    o.width = 48;
    o.height = 32;
    return o;
}

static void test_hostile_what_is_no_video(void **state) {
    need_ffmpeg();
    const media_place *p = *state;
    static const char text[] = "I am a letter, not a picture.\n";
    static const char list[] = "#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n";
    static const char concat[] = "ffconcat version 1.0\nfile '/etc/passwd'\n";
    static const char subtitle[] = "1\n00:00:00,000 --> 00:00:01,000\nhello\n";
    put(p, "a.png", text, sizeof text - 1);
    expect_refused(p, "a.png", REEL_E_FORMAT, "begins with 'I am a lette'");
    put(p, "a.png", list, sizeof list - 1);
    expect_refused(p, "a.png", REEL_E_FORMAT, "neither");
    put(p, "a.png", concat, sizeof concat - 1);
    expect_refused(p, "a.png", REEL_E_FORMAT, "neither");
    put(p, "a.png", subtitle, sizeof subtitle - 1);
    expect_refused(p, "a.png", REEL_E_FORMAT, "neither");
    put(p, "a.png", "", 0);
    expect_refused(p, "a.png", REEL_E_FORMAT, "empty");
    put(p, "a.png", "x", 1);
    expect_refused(p, "a.png", REEL_E_FORMAT, "neither");
    media_place_remove(p, "a.png");
    expect_refused(p, "a.png", REEL_E_IO, "No such file");
    expect_refused(p, ".", REEL_E_IO, "folder");
}

static void test_hostile_one_pixel_is_a_picture(void **state) {
    need_ffmpeg();
    const media_place *p = *state;
    char path[200];
    uint8_t pixel[3] = {1, 2, 250};
    const reel_picture one = {pixel, 1, 1};
    reel_picture back = {0};
    media_place_path(p, "a.png", path);
    assert_int_equal(reel_picture_write(p->env, path, &one, NULL), REEL_OK);
    assert_int_equal(reel_picture_read(p->env, path, &back), REEL_OK);
    assert_memory_equal(back.pixels, pixel, 3);
    reel_picture_deinit(p->env, &back);
    media_place_remove(p, "a.png");
}

/* A picture whose header says 20,000 by 20,000, for each kind that says it in front. */
static void test_hostile_large_sizes(void **state) {
    need_ffmpeg();
    const media_place *p = *state;
    static const uint8_t png[] =
        "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x4e\x20\0\0\x4e\x20\x08\2\0\0\0\0\0\0\0";
    static const uint8_t gif[] = "GIF89a\x20\x4e\x20\x4e\0\0\0;";
    static const uint8_t jpeg[] =
        "\xff\xd8\xff\xe0\0\4ab\xff\xc0\0\x11\x08\x4e\x20\x4e\x20\3\1\x22\0\2\x11\1\3\x11\1";
    static const uint8_t webp[] = "RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x1f\x4e\0\x1f\x4e\0";
    put(p, "a.png", png, sizeof png - 1);
    expect_refused(p, "a.png", REEL_E_UNSUPPORTED, "20000x20000");
    put(p, "a.png", gif, sizeof gif - 1);
    expect_refused(p, "a.png", REEL_E_UNSUPPORTED, "20000x20000");
    put(p, "a.png", jpeg, sizeof jpeg - 1);
    expect_refused(p, "a.png", REEL_E_UNSUPPORTED, "20000x20000");
    put(p, "a.png", webp, sizeof webp - 1);
    expect_refused(p, "a.png", REEL_E_UNSUPPORTED, "20000x20000");
    media_place_remove(p, "a.png");
}

/* A video whose index says another size than its frames may have. */
static void test_hostile_large_video(void **state) {
    need_ffmpeg();
    const media_place *p = *state;
    const reel_video_options o = small();
    char path[200];
    assert_int_equal(media_write(p, "a.mp4", &o, 3), REEL_OK);
    reel_reader_options r = reel_reader_options_default();
    r.max_pixels = 1000;
    reel_video_reader *reader = NULL;
    assert_int_equal(
        reel_video_reader_open(p->env, media_place_path(p, "a.mp4", path), &r, &reader),
        REEL_E_UNSUPPORTED);
    assert_non_null(strstr(reel_env_message(p->env), "48x32"));
    reel_env_clear(p->env);
    media_place_remove(p, "a.mp4");
}

/* Every kind, cut at many places: never a crash, never all frames, always a reason. */
static void test_hostile_cut_files(void **state) {
    need_ffmpeg();
    const media_place *p = *state;
    static const char *const name[] = {"a.mp4", "a.webm", "a.gif", "a.mkv", "a.png"};
    for (int i = 0; i < 5; i++) {
        const reel_video_options o = small();
        char *data = NULL;
        int64_t bytes = 0;
        assert_int_equal(media_write(p, name[i], &o, i == 4 ? 1 : 4), REEL_OK);
        get(p, name[i], &data, &bytes);
        for (int64_t n = 0; n < bytes; n += 1 + bytes / 40) {
            put(p, name[i], data, n);
            expect_refused(p, name[i], REEL_E_FORMAT, name[i]);
        }
        put(p, name[i], data, bytes - 1);
        expect_refused(p, name[i], REEL_E_FORMAT, "cut off");
        reel_free(p->env, data);
        media_place_remove(p, name[i]);
    }
}

/* Bytes changed in the middle: refused, or read with no more frames than there were. */
static void test_hostile_changed_bytes(void **state) {
    need_ffmpeg();
    const media_place *p = *state;
    static const char *const name[] = {"a.mp4", "a.gif", "a.mkv", "a.png"};
    for (int i = 0; i < 4; i++) {
        const reel_video_options o = small();
        char *data = NULL;
        int64_t bytes = 0, n_frames = 0;
        assert_int_equal(media_write(p, name[i], &o, i == 3 ? 1 : 4), REEL_OK);
        get(p, name[i], &data, &bytes);
        int n_refused = 0;
        for (int64_t at = 0; at < bytes; at += 1 + bytes / 60) {
            data[at] ^= 0x55;
            put(p, name[i], data, bytes);
            const reel_status status = read_through(p, name[i], &n_frames);
            data[at] ^= 0x55;
            n_refused += status != REEL_OK;
            if (status == REEL_OK) assert_true(n_frames <= 4);
            if ((status == REEL_OK) != (reel_env_message(p->env)[0] == '\0'))
                fail_msg("%s at %lld: %s with the message '%s'", name[i], (long long)at,
                         reel_status_name(status), reel_env_message(p->env));
            reel_env_clear(p->env);
        }
        assert_true(n_refused > 0);
        reel_free(p->env, data);
        media_place_remove(p, name[i]);
    }
}

/* A writer that is killed leaves no file under the name it was going to have. */
static void test_hostile_killed_writer_leaves_no_half_file(void **state) {
    need_ffmpeg();
    const media_place *p = *state;
    static const char *const name[] = {"a.mp4", "a.webm", "a.gif", "a.mkv"};
    for (int i = 0; i < 4; i++) {
        char path[200], command[600];
        const reel_video_options o = small();
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            (void)media_write(p, name[i], &o, 100000); /* longer than it will live */
            _exit(0);
        }
        usleep(30000);
        assert_int_equal(kill(child, SIGKILL), 0);
        int how = 0;
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_true(WIFSIGNALED(how));
        assert_int_equal(access(media_place_path(p, name[i], path), F_OK), -1);
        snprintf(command, sizeof command, "rm -f '%s'/*.tmp", p->folder);
        assert_int_equal(system(command), 0);
    }
}

/* A film without a frame, and one of a codec that is not on the list. */
static void test_hostile_no_frames_and_other_codecs(void **state) {
    need_ffmpeg();
    const media_place *p = *state;
    if (system("ffmpeg -version >/dev/null 2>&1") != 0) skip();
    char command[600];
    snprintf(command, sizeof command,
             "cd '%s' && ffmpeg -v error -f lavfi -i sine=d=1 -c:a aac a.mp4 && ffmpeg -v error -f "
             "lavfi -i testsrc2=s=64x64:d=0.2 -c:v mpeg1video b.mkv && ffmpeg -v error -f lavfi -i "
             "testsrc2=s=16x16:r=1:d=700 -c:v libx264 -preset ultrafast c.mp4",
             p->folder);
    assert_int_equal(system(command), 0);
    expect_refused(p, "a.mp4", REEL_E_FORMAT, "holds no video");
    expect_refused(p, "b.mkv", REEL_E_UNSUPPORTED, "mpeg1video");
    expect_refused(p, "c.mp4", REEL_E_UNSUPPORTED, "700.0 seconds");
    media_place_remove(p, "a.mp4");
    media_place_remove(p, "b.mkv");
    media_place_remove(p, "c.mp4");
    static const uint8_t gif[] = "GIF89a\4\0\4\0\0\0\0;";
    put(p, "z.gif", gif, sizeof gif - 1);
    expect_refused(p, "z.gif", REEL_E_FORMAT, "z.gif");
    media_place_remove(p, "z.gif");
}

static void test_hostile_options(void **state) {
    need_ffmpeg();
    const media_place *p = *state;
    const reel_video_options o = small();
    char path[200];
    assert_int_equal(media_write(p, "a.png", &o, 1), REEL_OK);
    const reel_reader_options good = reel_reader_options_default();
    reel_reader_options bad[8];
    for (int i = 0; i < 8; i++)
        bad[i] = good;
    bad[0].width = 5;
    bad[1].width = bad[1].height = -1;
    bad[2].width = bad[2].height = 20000;
    bad[3].fps = (reel_rational){1, 0};
    bad[4].fps = (reel_rational){-1, 1};
    bad[5].start_s = -1;
    bad[6].start_s = 1e308;
    bad[7].n_threads = 0;
    for (int i = 0; i < 8; i++) {
        reel_video_reader *r = NULL;
        assert_int_equal(
            reel_video_reader_open(p->env, media_place_path(p, "a.png", path), &bad[i], &r),
            REEL_E_ARG);
        assert_null(r);
        reel_env_clear(p->env);
    }
    media_place_remove(p, "a.png");
}

/* A comment chunk that claims more than there is, ends nowhere, or is compressed is no comment. */
static void test_hostile_comments(void **state) {
    const media_place *p = *state;
    static const struct {
        const char *bytes;
        int64_t n;
    } file[] = {
        {"\x89PNG\r\n\x1a\n\x7f\xff\xff\xfftEXtComment\0x", 25},
        {"\x89PNG\r\n\x1a\n\0\0\0\7tEXtComment0000", 27},
        {"\x89PNG\r\n\x1a\n\0\0\0\x09iTXtComment\0\0"
         "0000",
         30},
        {"\x89PNG\r\n\x1a\n\0\0\0\x0biTXtComment\0\1\0ab0000", 31},
        {"\x89PNG\r\n\x1a\n\0\0\0\x0biTXtComment\0\0\0ab0000", 31},
        {"GIF89a\0\0\0\0\0\0\0!\xfe\x05"
         "abc",
         19},
        {"GIF89a\0\0\0\0\x80\0\0!\xfe\x00;", 17},
    };
    for (size_t i = 0; i < sizeof file / sizeof *file; i++) {
        /* A block of exactly that size, so that a sanitizer sees a read past it. */
        uint8_t *exact = malloc((size_t)file[i].n);
        assert_non_null(exact);
        memcpy(exact, file[i].bytes, (size_t)file[i].n);
        char *comment = NULL;
        assert_int_equal(reel_container_comment(p->env, exact, file[i].n, &comment), REEL_OK);
        assert_null(comment);
        free(exact);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, media_place_make, media_place_free)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_hostile_what_is_no_video),
        TEST(test_hostile_one_pixel_is_a_picture),
        TEST(test_hostile_large_sizes),
        TEST(test_hostile_large_video),
        TEST(test_hostile_cut_files),
        TEST(test_hostile_changed_bytes),
        TEST(test_hostile_killed_writer_leaves_no_half_file),
        TEST(test_hostile_no_frames_and_other_codecs),
        TEST(test_hostile_options),
        TEST(test_hostile_comments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
