#include "data/clips.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/folder.h"
#include "data/latents.h"
#include "media/video_writer.h"
#include "support/media_place.h"
#include "support/scratch.h"

#if REEL_FFMPEG /* clips are files that it writes and reads */

enum { W = 64, H = 48, FPS = 8 };
static const reel_bucket buckets[2] = {{32, 24, 9, 1}, {32, 24, 5, 1}};

/* What was told of. */
typedef struct told {
    int n_looked, n_skipped;
    char skipped[8][256];
} told;

static void skipped(void *context, const char *name, const char *reason) {
    told *t = context;
    if (t->n_skipped < 8)
        snprintf(t->skipped[t->n_skipped], sizeof *t->skipped, "%s: %s", name, reason);
    t->n_skipped++;
}

static bool looking(void *context, int64_t i, int64_t n, const char *name) {
    told *t = context;
    (void)i;
    (void)n;
    (void)name;
    t->n_looked++;
    return false;
}

typedef struct fixture {
    reel_env *env;
    scratch place;
    told told;
    char sights[200];
} fixture;

/* Frame i of shot k, which no other looks like. */
static void paint(int k, int i, uint8_t *pixels) {
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            uint8_t *p = pixels + (y * W + x) * 3;
            p[0] = (uint8_t)(k * 83 % 200 + (x + i + 13 * k) / 8 % 2 * 50);
            p[1] = (uint8_t)(k * 151 % 200 + (x + y) / 12 % 2 * 40);
            p[2] = (uint8_t)(k * 37 % 200 + y);
        }
}

/* A lossless video of shots of so many frames each; the first is shot `first`. */
static void write_video(const fixture *f, const char *name, int first, const int *length, int n) {
    static uint8_t pixels[W * H * 3];
    reel_video_options o = reel_video_options_default();
    reel_video_writer *w = NULL;
    o.width = W;
    o.height = H;
    o.fps = (reel_rational){FPS, 1};
    o.format = REEL_VIDEO_FFV1;
    assert_int_equal(reel_video_writer_open(f->env, SCRATCH(&f->place, name), &o, &w), REEL_OK);
    for (int k = 0; k < n; k++)
        for (int i = 0; i < length[k]; i++) {
            paint(first + k, i, pixels);
            assert_int_equal(reel_video_writer_push(w, pixels), REEL_OK);
        }
    assert_int_equal(reel_video_writer_finish(w), REEL_OK);
    reel_video_writer_close(&w);
}

static void open_fixture(fixture *f) {
    *f = (fixture){0};
    assert_int_equal(reel_env_new(NULL, &f->env), REEL_OK);
    scratch_make(&f->place);
    scratch_write(&f->place, "seen/x", "");
    scratch_path(&f->place, "seen/clips.jsonl", f->sights);
    scratch_write(&f->place, "clips/notes.md", "no clip");
}

static void close_fixture(fixture *f) {
    assert_int_equal(f->env->allocator.bytes, 0);
    reel_env_free(&f->env);
    scratch_remove(&f->place);
}

static reel_status open_clips(fixture *f, reel_clips **clips) {
    const char *path = SCRATCH(&f->place, "clips");
    f->told = (told){0};
    const reel_clips_options o = {.path = &path,
                                  .n_paths = 1,
                                  .fps = FPS,
                                  .seed = 1,
                                  .bucket = buckets,
                                  .n_buckets = 2,
                                  .sights = f->sights,
                                  .skipped = skipped,
                                  .looking = looking,
                                  .context = &f->told};
    return reel_clips_open(f->env, &o, clips);
}

static bool was_told(const fixture *f, const char *name, const char *reason) {
    for (int i = 0; i < f->told.n_skipped && i < 8; i++)
        if (strstr(f->told.skipped[i], name) && strstr(f->told.skipped[i], reason)) return true;
    for (int i = 0; i < f->told.n_skipped && i < 8; i++)
        print_message("told: %s\n", f->told.skipped[i]);
    return false;
}

static void test_clips_are_shots_divided_by_buckets(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f);
    scratch_write(&f.place, "clips/sub/notes.md", "no clip");
    /* 20 frames: 9, 9 and 2 left over; 16: 9 and 5 and 2 left over */
    write_video(&f, "clips/a.mkv", 0, (const int[]){20, 16}, 2);
    write_video(&f, "clips/sub/b.mkv", 5, (const int[]){9}, 1);
    scratch_write(&f.place, "clips/a.txt", "two shots\n");
    reel_clips *clips;
    assert_int_equal(open_clips(&f, &clips), REEL_OK);
    const reel_clips_count n = reel_clips_get_count(clips);
    assert_int_equal(n.files, 2);
    assert_int_equal(n.clips + n.held_out, 5);
    assert_true(n.held_out == 1 || n.held_out == 4); /* one of the two files */
    assert_int_equal(n.without_words, 1);
    assert_int_equal(n.skipped, 0);
    int64_t seen[2] = {0, 0};
    for (int held = 0; held < 2; held++) {
        reel_source s;
        assert_int_equal(reel_clips_source(clips, held != 0, -1, &s), REEL_OK);
        assert_int_equal(s.n_clips, held ? n.held_out : n.clips);
        assert_int_equal(s.n_groups, 1);
        for (int64_t i = 0; i < s.n_clips; i++)
            seen[s.bucket(s.context, buckets, 2, -1, i)]++;
    }
    assert_true(seen[0] == 4 && seen[1] == 1);
    reel_clips_close(&clips);
    close_fixture(&f);
}

/* The source that has the clips of a.mkv. */
static reel_source find_source(reel_clips *clips) {
    reel_source s = {0};
    for (int held = 0; held < 2; held++) {
        double start;
        assert_int_equal(reel_clips_source(clips, held != 0, -1, &s), REEL_OK);
        if (strstr(reel_clips_name(&s, 0, &start), "/a.mkv")) break;
    }
    return s;
}

static void test_clips_pixels_are_the_frames_of_their_shot(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f);
    write_video(&f, "clips/a.mkv", 0, (const int[]){20, 16}, 2);
    write_video(&f, "clips/b.mkv", 5, (const int[]){9}, 1);
    scratch_write(&f.place, "clips/a.json", "{\"caption\":\"two shots\"}");
    reel_clips *clips;
    assert_int_equal(open_clips(&f, &clips), REEL_OK);
    const reel_source s = find_source(clips);
    static uint8_t want[W * H * 3], got[9 * W * H * 3];
    const reel_bucket full = {W, H, 9, 1};
    double start;
    char text[REEL_SOURCE_CAPTION_BYTES];
    assert_int_equal(s.n_clips, 4);
    for (int ahead = 0; ahead < 2; ahead++) { /* read when asked for, and before */
        if (ahead) s.expect(s.context, 2, &full);
        assert_int_equal(s.pixels(f.env, s.context, 2, &full, got), REEL_OK);
        for (int i = 0; i < 9; i++) { /* clip 2 is the beginning of the second shot */
            paint(1, i, want);
            assert_memory_equal(got + i * W * H * 3, want, sizeof want);
        }
    }
    reel_clips_name(&s, 2, &start);
    assert_true(start == 20.0 / FPS);
    assert_int_equal(s.caption(f.env, s.context, 1, &full, false, 3, text), REEL_OK);
    assert_string_equal(text, "two shots");
    reel_clips_close(&clips);
    close_fixture(&f);
}

static void test_clips_name_and_count_what_they_skip(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f);
    write_video(&f, "clips/a.mkv", 0, (const int[]){20}, 1);
    scratch_copy(&f.place, "clips/again.mkv", SCRATCH(&f.place, "clips/a.mkv"));
    write_video(&f, "clips/words.mkv", 3, (const int[]){9}, 1);
    scratch_write(&f.place, "clips/words.txt", "caf\xe9");
    write_video(&f, "clips/short.mkv", 4, (const int[]){3}, 1);
    scratch_write(&f.place, "clips/text.mp4", "this is text and no film");
    scratch_write(&f.place, "clips/empty.mp4", "");
    scratch_write(&f.place, "clips/no.tar", "this is text and no archive");
    reel_clips *clips;
    for (int again = 0; again < 2; again++) { /* what was seen is remembered, its troubles too */
        assert_int_equal(open_clips(&f, &clips), REEL_OK);
        assert_int_equal(reel_clips_get_count(clips).files, 1);
        assert_int_equal(reel_clips_get_count(clips).skipped, 6);
        assert_true(was_told(&f, "again.mkv", "holds the same bytes as") ||
                    was_told(&f, "a.mkv", "holds the same bytes as"));
        assert_true(was_told(&f, "words.mkv", "words.txt: is not text in UTF-8"));
        assert_true(was_told(&f, "short.mkv", "3 frames at 8 a second"));
        assert_true(was_told(&f, "text.mp4", "neither a video nor a picture"));
        assert_true(was_told(&f, "empty.mp4", "empty"));
        assert_true(was_told(&f, "no.tar", ""));
        if (again) assert_true(f.told.n_looked <= 1); /* at the empty one, which cannot be mapped */
        reel_clips_close(&clips);
    }
    close_fixture(&f);
}

static void test_clips_refuse_when_there_is_nothing_to_train_on(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f);
    reel_clips *clips = NULL;
    assert_int_equal(open_clips(&f, &clips), REEL_E_ARG);
    assert_non_null(
        strstr(reel_env_message(f.env), "holds no clip: wanted files that end in .mp4"));
    reel_env_clear(f.env);
    scratch_write(&f.place, "clips/text.mp4", "this is text and no film");
    assert_int_equal(open_clips(&f, &clips), REEL_E_FORMAT);
    assert_non_null(strstr(reel_env_message(f.env), "not one clip can be used of 1 files"));
    assert_non_null(strstr(reel_env_message(f.env), "neither a video nor a picture"));
    reel_env_clear(f.env);
    const char *missing = SCRATCH(&f.place, "missing");
    const reel_clips_options o = {
        .path = &missing, .n_paths = 1, .fps = FPS, .bucket = buckets, .n_buckets = 2};
    assert_int_equal(reel_clips_open(f.env, &o, &clips), REEL_E_IO);
    assert_non_null(strstr(reel_env_message(f.env), "no such file or folder"));
    assert_null(clips);
    close_fixture(&f);
}

/* Latents of a position: its first byte. */
static reel_status encode(void *context, const uint8_t *rgb, const reel_bucket *size,
                          reel_bf16 *latent) {
    ++*(int *)context;
    const int64_t n = (1 + (size->frames - 1) / 4) * (size->height / 8) * (size->width / 8);
    for (int64_t i = 0; i < n; i++)
        latent[i] = reel_f32_to_bf16(rgb[i]);
    return REEL_OK;
}

static void test_clips_latents_of_several_sizes_are_made_once(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f);
    write_video(&f, "clips/a.mkv", 0, (const int[]){20, 16}, 2);
    write_video(&f, "clips/b.mkv", 5, (const int[]){9}, 1);
    int n_encoded = 0;
    const reel_latents_encoder e = {&n_encoded, encode, 1, 4, 8};
    for (int again = 0; again < 2; again++) {
        reel_clips *clips;
        reel_latents *l;
        assert_int_equal(open_clips(&f, &clips), REEL_OK);
        const reel_source s = find_source(clips);
        assert_int_equal(
            reel_latents_open(f.env, SCRATCH(&f.place, "latents"), "k", &s, buckets, 2, &e, &l),
            REEL_OK);
        assert_int_equal(reel_latents_advance(l, 1000, NULL, NULL), REEL_OK);
        assert_int_equal(reel_latents_count(l), 4); /* all there are */
        assert_int_equal(n_encoded, 4);
        for (int64_t i = 0; i < 4; i++) {
            const reel_latent_clip c = reel_latents_at(l, i);
            uint8_t rgb[32 * 24 * 9 * 3];
            assert_int_equal(c.f, i == 3 ? 2 : 3);
            assert_int_equal(c.index, i);
            assert_int_equal(s.pixels(f.env, s.context, i, c.size, rgb), REEL_OK);
            assert_true(reel_bf16_to_f32(c.data[5]) == reel_bf16_to_f32(reel_f32_to_bf16(rgb[5])));
        }
        reel_latents_close(&l);
        reel_clips_close(&clips);
    }
    close_fixture(&f);
}

#endif

/* ---- buckets ---- */

static void test_bucket_fit_prefers_aspect_then_length_then_area(void **state) {
    (void)state;
    const reel_bucket b[] = {{128, 128, 33, 1}, {160, 96, 33, 1},  {160, 96, 17, 1},
                             {320, 192, 17, 1}, {640, 384, 17, 0}, {160, 96, 1, 1}};
    assert_int_equal(reel_bucket_fit(b, 6, 500, 500, 100), 0);
    assert_int_equal(reel_bucket_fit(b, 6, 1920, 1080, 100), 1);
    assert_int_equal(reel_bucket_fit(b, 6, 1920, 1080, 20), 3);
    assert_int_equal(reel_bucket_fit(b, 6, 200, 120, 20), 2); /* 320 would enlarge it */
    assert_int_equal(reel_bucket_fit(b, 6, 1920, 1080, 5), 5);
    assert_int_equal(reel_bucket_fit(b, 5, 1920, 1080, 5), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bucket_fit_prefers_aspect_then_length_then_area),
#if REEL_FFMPEG
        cmocka_unit_test(test_clips_are_shots_divided_by_buckets),
        cmocka_unit_test(test_clips_pixels_are_the_frames_of_their_shot),
        cmocka_unit_test(test_clips_name_and_count_what_they_skip),
        cmocka_unit_test(test_clips_refuse_when_there_is_nothing_to_train_on),
        cmocka_unit_test(test_clips_latents_of_several_sizes_are_made_once),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
