/* What reel writes and reads, judged by FFmpeg's own programs: ffprobe says what is in our files,
 * ffmpeg decodes them and must see the frames we see, and makes files for us to read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/video_reader.h"
#include "media/video_writer.h"
#include "support/media_place.h"

enum { W = 96, H = 64, N = 24, BYTES = W * H * 3 };

static void need_judges(void) {
    if (!REEL_FFMPEG || system("ffprobe -version >/dev/null 2>&1") != 0) skip();
}

/* Runs a command made of format with the place's folder as current folder; its output, at most
 * `room` bytes, goes to text. Returns how many came. */
__attribute__((format(printf, 4, 5))) static size_t ask(const media_place *p, char *text,
                                                        size_t room, const char *format, ...) {
    char command[2048];
    const int n = snprintf(command, sizeof command, "cd '%s' && ", p->folder);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command + n, sizeof command - (size_t)n, format, arguments);
    va_end(arguments);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    const size_t got = fread(text, 1, room, pipe);
    const int code = pclose(pipe);
    if (code != 0) fail_msg("'%s' exited with %d", command, code);
    return got;
}

/* ffprobe's words for a list of fields of the video stream, with the frames counted. */
static void expect_probe(const media_place *p, const char *name, const char *fields,
                         const char *wanted) {
    char text[512] = "";
    const size_t n =
        ask(p, text, sizeof text - 1,
            "ffprobe -v error -count_frames -select_streams v -show_entries stream=%s -of "
            "default=noprint_wrappers=1:nokey=1 '%s' | tr '\\n' ' '",
            fields, name);
    text[n] = '\0';
    if (strcmp(text, wanted) != 0)
        fail_msg("%s: ffprobe says '%s', wanted '%s'", name, text, wanted);
}

static void write_ok(const media_place *p, const char *name, const reel_video_options *o, int n) {
    if (media_write(p, name, o, n) != REEL_OK) fail_msg("%s", reel_env_message(p->env));
}

static reel_video_options options(void) {
    reel_video_options o = reel_video_options_default();
    o.width = W;
    o.height = H;
    o.fps = (reel_rational){16, 1};
    return o;
}

static const char fields[] = "codec_name,width,height,pix_fmt,color_range,color_space,"
                             "color_transfer,color_primaries,r_frame_rate,nb_read_frames";

static void test_judge_mp4(void **state) {
    need_judges();
    const media_place *p = *state;
    const reel_video_options o = options();
    write_ok(p, "a.mp4", &o, N);
    expect_probe(p, "a.mp4", fields, "h264 96 64 yuv420p tv bt709 bt709 bt709 16/1 24 ");
    expect_probe(p, "a.mp4", "duration,start_time,nb_frames", "0.000000 1.500000 24 ");
    media_place_remove(p, "a.mp4");
}

static void test_judge_one_frame_and_a_broken_rate(void **state) {
    need_judges();
    const media_place *p = *state;
    reel_video_options o = options();
    write_ok(p, "a.mp4", &o, 1);
    expect_probe(p, "a.mp4", "duration,nb_read_frames", "0.062500 1 ");
    o.fps = (reel_rational){30000, 1001};
    write_ok(p, "a.mp4", &o, N);
    expect_probe(p, "a.mp4", "r_frame_rate,avg_frame_rate,duration,nb_read_frames",
                 "30000/1001 30000/1001 0.800800 24 ");
    media_place_remove(p, "a.mp4");
}

static void test_judge_webm(void **state) {
    need_judges();
    const media_place *p = *state;
    const reel_video_options o = options();
    write_ok(p, "a.webm", &o, N);
    expect_probe(p, "a.webm", fields, "av1 96 64 yuv420p tv bt709 bt709 bt709 16/1 24 ");
    media_place_remove(p, "a.webm");
}

static void test_judge_gif_and_ffv1(void **state) {
    need_judges();
    const media_place *p = *state;
    const reel_video_options o = options();
    write_ok(p, "a.gif", &o, N);
    expect_probe(p, "a.gif", "codec_name,width,height,nb_read_frames,duration",
                 "gif 96 64 1.500000 24 ");
    media_place_remove(p, "a.gif");
    write_ok(p, "a.mkv", &o, N);
    expect_probe(p, "a.mkv", "codec_name,width,height,pix_fmt,r_frame_rate,nb_read_frames",
                 "ffv1 96 64 bgr0 16/1 24 ");
    media_place_remove(p, "a.mkv");
}

static void test_judge_odd_size(void **state) {
    need_judges();
    const media_place *p = *state;
    reel_video_options o = options();
    o.width = 95;
    o.height = 63;
    write_ok(p, "a.mp4", &o, 3);
    expect_probe(p, "a.mp4", "width,height,pix_fmt,nb_read_frames", "95 63 yuv444p 3 ");
    write_ok(p, "a.webm", &o, 3);
    expect_probe(p, "a.webm", "width,height,pix_fmt,nb_read_frames", "95 63 yuv420p 3 ");
    media_place_remove(p, "a.mp4");
    media_place_remove(p, "a.webm");
}

static void test_judge_comment(void **state) {
    need_judges();
    const media_place *p = *state;
    static const char *const name[] = {"a.mp4", "a.webm", "a.mkv"};
    static const char comment[] = "{\"prompt\":\"\xe7\xba\xb8\xe8\x88\xb9 = \\\"boat\\\"\"}";
    for (int i = 0; i < 3; i++) {
        reel_video_options o = options();
        o.comment = comment;
        write_ok(p, name[i], &o, 2);
        char text[512] = "";
        ask(p, text, sizeof text - 1,
            "ffprobe -v error -show_entries format_tags -of default=noprint_wrappers=1 %s",
            name[i]);
        if (!strstr(text, comment)) fail_msg("%s: ffprobe says '%s'", name[i], text);
        media_place_remove(p, name[i]);
    }
}

/* ---- frames ---- */

/* ffmpeg's frames of a file, through swscale with the matrix and the care that ours asks for. */
static size_t decoded(const media_place *p, const char *name, const char *filter, uint8_t *frames,
                      size_t room) {
    return ask(p, (char *)frames, room,
               "ffmpeg -v error -i '%s' -vf '%s' -f rawvideo -pix_fmt rgb24 -", name, filter);
}

static size_t ours(const media_place *p, const char *name, const reel_reader_options *o,
                   uint8_t *frames, size_t room) {
    char path[200];
    reel_video_reader *r = NULL;
    reel_status status = reel_video_reader_open(p->env, media_place_path(p, name, path), o, &r);
    size_t n = 0;
    int width = 0, height = 0;
    if (status == REEL_OK) reel_video_reader_size(r, &width, &height);
    const size_t frame = 3 * (size_t)width * (size_t)height;
    for (bool got = true; status == REEL_OK && got && n + frame <= room; n += got ? frame : 0)
        status = reel_video_reader_next(r, frames + n, &got);
    reel_video_reader_close(&r);
    if (status != REEL_OK) fail_msg("%s", reel_env_message(p->env));
    return n;
}

static void expect_same_frames(const media_place *p, const char *name, const char *filter,
                               const reel_reader_options *o) {
    enum { ROOM = BYTES * 2 * N };
    uint8_t *a = malloc(ROOM), *b = malloc(ROOM);
    assert_true(a && b);
    const size_t n_a = decoded(p, name, filter, a, ROOM), n_b = ours(p, name, o, b, ROOM);
    if (n_a != n_b || n_a == 0) fail_msg("%s: %zu bytes, ffmpeg has %zu", name, n_b, n_a);
    const double db = media_psnr(a, b, (int64_t)n_a);
    if (memcmp(a, b, n_a) != 0) fail_msg("%s: frames differ, %.1f dB", name, db);
    free(a);
    free(b);
}

#define CAREFUL "flags=bicubic+accurate_rnd+full_chroma_int+bitexact"

static void test_judge_sees_the_frames_we_see(void **state) {
    need_judges();
    const media_place *p = *state;
    static const char *const name[] = {"a.mp4", "a.webm", "a.mkv", "a.png"};
    static const char *const filter[] = {"scale=" CAREFUL ":in_color_matrix=bt709",
                                         "scale=" CAREFUL ":in_color_matrix=bt709", "null", "null"};
    for (int i = 0; i < 4; i++) {
        const reel_video_options o = options();
        write_ok(p, name[i], &o, i == 3 ? 1 : N);
        expect_same_frames(p, name[i], filter[i], NULL);
        media_place_remove(p, name[i]);
    }
}

/* Made by ffmpeg: the matrix of old television, full range, the wide one. */
static void test_judge_colors_of_others(void **state) {
    need_judges();
    const media_place *p = *state;
    char none[1];
    static const char *const make[] = {
        "-vf format=gbrp,scale=out_color_matrix=bt601 -pix_fmt yuv444p -colorspace smpte170m",
        "-vf format=gbrp,scale=out_color_matrix=bt709:out_range=full -pix_fmt yuv444p -colorspace "
        "bt709 "
        "-color_range pc",
        "-vf format=gbrp,scale=out_color_matrix=bt2020 -pix_fmt yuv444p -colorspace bt2020nc"};
    for (int i = 0; i < 3; i++) {
        ask(p, none, 0,
            "ffmpeg -v error -y -f lavfi -i testsrc2=s=96x64:r=10:d=1 %s -c:v libx264 -crf 4 a.mp4 "
            "&& ffmpeg -v error -y -f lavfi -i testsrc2=s=96x64:r=10:d=1 -vf format=gbrp -c:v ffv1 "
            "-pix_fmt bgr0 "
            "b.mkv",
            make[i]);
        static uint8_t a[BYTES * 10], b[BYTES * 10];
        assert_int_equal(ours(p, "a.mp4", NULL, a, sizeof a), sizeof a);
        assert_int_equal(ours(p, "b.mkv", NULL, b, sizeof b), sizeof b);
        /* A wrong matrix or range leaves less than 30 dB. */
        const double db = media_psnr(a, b, sizeof a);
        if (db < 38) fail_msg("%s: %.1f dB", make[i], db);
        media_place_remove(p, "a.mp4");
        media_place_remove(p, "b.mkv");
    }
}

static void test_judge_turned_videos_come_upright(void **state) {
    need_judges();
    const media_place *p = *state;
    char none[1];
    static const int degrees[] = {90, 180, 270};
    for (int i = 0; i < 3; i++) {
        ask(p, none, 0,
            "ffmpeg -v error -y -f lavfi -i testsrc2=s=96x64:r=8:d=1 -c:v libx264 -pix_fmt yuv444p "
            "-colorspace bt709 b.mp4 && ffmpeg -v error -y -i b.mp4 -c copy -metadata:s:v "
            "rotate=%d a.mp4",
            degrees[i]);
        expect_same_frames(p, "a.mp4", "scale=" CAREFUL ":in_color_matrix=bt709", NULL);
        media_place_remove(p, "a.mp4");
        media_place_remove(p, "b.mp4");
    }
}

static void test_judge_another_rate_picks_the_same_frames(void **state) {
    need_judges();
    const media_place *p = *state;
    static const reel_rational rate[] = {{8, 1}, {16, 1}, {24, 1}, {25, 2}, {5, 1}};
    const reel_video_options o = options();
    write_ok(p, "a.mkv", &o, N);
    for (int i = 0; i < 5; i++) {
        reel_reader_options r = reel_reader_options_default();
        char filter[64];
        r.fps = rate[i];
        snprintf(filter, sizeof filter, "fps=%d/%d", rate[i].num, rate[i].den);
        expect_same_frames(p, "a.mkv", filter, &r);
    }
    media_place_remove(p, "a.mkv");
}

/* A seek lands where walking lands, in a file with frames that refer forwards. */
static void test_judge_seek_is_exact(void **state) {
    need_judges();
    const media_place *p = *state;
    static const char *const name[] = {"a.mp4", "a.webm", "a.gif"};
    for (int k = 0; k < 3; k++) {
        static uint8_t all[BYTES * N], one[BYTES];
        const reel_video_options o = options();
        char path[200];
        reel_video_reader *r = NULL;
        write_ok(p, name[k], &o, N);
        assert_int_equal(ours(p, name[k], NULL, all, sizeof all), sizeof all);
        assert_int_equal(
            reel_video_reader_open(p->env, media_place_path(p, name[k], path), NULL, &r), REEL_OK);
        static const int at[] = {20, 3, 0, 23, 11};
        for (int i = 0; i < 5; i++) {
            bool got = false;
            assert_int_equal(reel_video_reader_seek(r, at[i] / 16.0 + 0.02), REEL_OK);
            assert_int_equal(reel_video_reader_next(r, one, &got), REEL_OK);
            assert_true(got);
            if (memcmp(one, all + (size_t)at[i] * BYTES, BYTES) != 0)
                fail_msg("%s: another frame at %d", name[k], at[i]);
        }
        assert_int_equal(reel_video_reader_seek(r, 5), REEL_E_ARG);
        reel_env_clear(p->env);
        reel_video_reader_close(&r);
        media_place_remove(p, name[k]);
    }
}

static void test_judge_pictures_of_others(void **state) {
    need_judges();
    const media_place *p = *state;
    char none[1];
    static const char *const name[] = {"a.jpg", "a.webp", "g.png", "p.png", "d.png"};
    static const char *const format[] = {"yuvj420p", "yuv420p", "gray", "pal8", "rgb48be"};
    for (int i = 0; i < 5; i++) {
        ask(p, none, 0,
            "ffmpeg -v error -y -f lavfi -i testsrc2=s=97x61:r=1:d=1 -frames:v 1 -pix_fmt %s %s",
            format[i], name[i]);
        const char *filter = i == 0   ? "scale=" CAREFUL ":in_color_matrix=bt601:in_range=full"
                             : i == 1 ? "scale=" CAREFUL ":in_color_matrix=bt601"
                             : i == 4 ? "scale=" CAREFUL
                                      : "null";
        expect_same_frames(p, name[i], filter, NULL);
        media_place_remove(p, name[i]);
    }
}

static void test_judge_transparency_is_over_white(void **state) {
    need_judges();
    const media_place *p = *state;
    char none[1], path[200];
    ask(p, none, 0,
        "ffmpeg -v error -y -f lavfi -i color=c=red@0.5:s=8x8,format=rgba -frames:v 1 a.png");
    reel_picture picture = {0};
    assert_int_equal(reel_picture_read(p->env, media_place_path(p, "a.png", path), &picture),
                     REEL_OK);
    assert_in_range(picture.pixels[0], 253, 255);
    assert_in_range(picture.pixels[1], 126, 129);
    assert_in_range(picture.pixels[2], 126, 129);
    reel_picture_deinit(p->env, &picture);
    media_place_remove(p, "a.png");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, media_place_make, media_place_free)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_judge_mp4),
        TEST(test_judge_one_frame_and_a_broken_rate),
        TEST(test_judge_webm),
        TEST(test_judge_gif_and_ffv1),
        TEST(test_judge_odd_size),
        TEST(test_judge_comment),
        TEST(test_judge_sees_the_frames_we_see),
        TEST(test_judge_colors_of_others),
        TEST(test_judge_turned_videos_come_upright),
        TEST(test_judge_another_rate_picks_the_same_frames),
        TEST(test_judge_seek_is_exact),
        TEST(test_judge_pictures_of_others),
        TEST(test_judge_transparency_is_over_white),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
