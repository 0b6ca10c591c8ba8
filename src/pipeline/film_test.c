/* A film's frames by hand: cuts, mixtures, titles, and the sheet's rows. */
#include "pipeline/film.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/video_reader.h"
#include "support/op_check.h"
#include "support/scratch.h"

enum { W = 64, H = 48, N = 3 * W * H };

typedef struct rig {
    reel_env *env;
    scratch place;
    char a[200], b[200], film[200];
} rig;

static reel_video_writer *open_writer(rig *r, const char *path) {
    reel_video_writer *writer;
    reel_video_options o = reel_video_options_default();
    o.width = W;
    o.height = H;
    o.fps = (reel_rational){8, 1};
    assert_int_equal(reel_video_writer_open(r->env, path, &o, &writer), REEL_OK);
    return writer;
}

/* n frames, frame i grey `first` + i. */
static void write_grey(rig *r, const char *path, int first, int n) {
    uint8_t pixels[N];
    reel_video_writer *writer = open_writer(r, path);
    for (int i = 0; i < n; i++) {
        memset(pixels, first + i, sizeof pixels);
        assert_int_equal(reel_video_writer_push(writer, pixels), REEL_OK);
    }
    assert_int_equal(reel_video_writer_finish(writer), REEL_OK);
    reel_video_writer_close(&writer);
}

static int make(void **state) {
    rig *r = calloc(1, sizeof *r);
    r->env = op_test_env(1);
    scratch_make(&r->place);
    scratch_path(&r->place, "a.mkv", r->a);
    scratch_path(&r->place, "b.mkv", r->b);
    scratch_path(&r->place, "film.mkv", r->film);
    if (REEL_FFMPEG) write_grey(r, r->a, 100, 6);
    if (REEL_FFMPEG) write_grey(r, r->b, 200, 5);
    *state = r;
    return 0;
}

static int drop(void **state) {
    rig *r = *state;
    scratch_remove(&r->place);
    const int left = r->env->allocator.bytes != 0;
    reel_env_free(&r->env);
    free(r);
    return left;
}

static reel_status write_film(rig *r, const reel_film *film, reel_sheet *sheet) {
    reel_video_writer *writer = open_writer(r, r->film);
    reel_status status = reel_film_write(r->env, film, writer, sheet);
    if (status == REEL_OK) status = reel_video_writer_finish(writer);
    reel_video_writer_close(&writer);
    return status;
}

/* The frames' first bytes are grey [n], and there are no more. */
static void is_film(rig *r, const uint8_t *grey, int n) {
    uint8_t pixels[N];
    bool got;
    reel_video_reader *reader;
    assert_int_equal(reel_video_reader_open(r->env, r->film, NULL, &reader), REEL_OK);
    for (int i = 0; i < n; i++) {
        assert_int_equal(reel_video_reader_next(reader, pixels, &got), REEL_OK);
        assert_true(got);
        assert_int_equal(pixels[0], grey[i]);
        assert_int_equal(pixels[N - 1], grey[i]);
    }
    assert_int_equal(reel_video_reader_next(reader, pixels, &got), REEL_OK);
    assert_false(got);
    reel_video_reader_close(&reader);
}

/* Without FFmpeg there are no clips. */
static rig *begin(void **state) {
    if (!REEL_FFMPEG) skip();
    return *state;
}

static void test_film_cuts_between_parts(void **state) {
    rig *r = begin(state);
    const reel_film_part part[] = {{r->a, 1, 2}, {r->b, 0, 1}, {r->b, 4, 1}};
    const reel_film_scene scene[] = {{.part = part, .n_parts = 2, .frames = 3},
                                     {.part = part + 2, .n_parts = 1, .frames = 1}};
    const reel_film film = {.scene = scene, .n_scenes = 2, .width = W, .height = H, .fps = 8};
    const uint8_t grey[] = {101, 102, 200, 204};
    assert_int_equal(reel_film_frames(&film), 4);
    assert_int_equal(write_film(r, &film, NULL), REEL_OK);
    is_film(r, grey, 4);
}

static void test_film_fades_are_mixtures(void **state) {
    rig *r = begin(state);
    const reel_film_part part[] = {{r->a, 0, 6}, {r->b, 0, 5}};
    const reel_film_scene scene[] = {{.part = part, .n_parts = 1, .frames = 6, .fade = 1},
                                     {.part = part + 1, .n_parts = 1, .frames = 5, .fade = 3}};
    const reel_film film = {.scene = scene, .n_scenes = 2, .width = W, .height = H, .fps = 8};
    /* out of black: 100 / 2; then a quarter, half, three quarters of 200.. over 103.. */
    const uint8_t grey[] = {50,
                            101,
                            102,
                            (103 * 3 + 200 + 2) / 4,
                            (104 * 2 + 201 * 2 + 2) / 4,
                            (105 + 202 * 3 + 2) / 4,
                            203,
                            204};
    assert_int_equal(reel_film_frames(&film), 8);
    assert_int_equal(write_film(r, &film, NULL), REEL_OK);
    is_film(r, grey, 8);
}

static int count_white(const uint8_t *pixels, int from_row, int to_row) {
    int n = 0;
    for (int i = from_row * W * 3; i < to_row * W * 3; i += 3)
        n += pixels[i] > 200;
    return n;
}

static void test_film_titles_stand_in_the_middle(void **state) {
    rig *r = begin(state);
    reel_picture p;
    assert_int_equal(reel_picture_init(r->env, W, H, &p), REEL_OK);
    reel_film_title(&p, "Hi you"); /* two lines of letters twice as large */
    assert_true(count_white(p.pixels, H / 4, 3 * H / 4) > 40);
    assert_int_equal(count_white(p.pixels, 0, H / 8), 0);
    assert_int_equal(count_white(p.pixels, H - H / 8, H), 0);
    reel_picture_deinit(r->env, &p);
    assert_int_equal(reel_picture_init(r->env, W, H, &p), REEL_OK);
    reel_film_title(&p, "wordsthatareonewordandtoolongforanypicture"); /* cut, not lost */
    assert_true(count_white(p.pixels, 0, H) > 20);
    reel_picture_deinit(r->env, &p);
    const reel_film_scene scene = {.title = "A", .frames = 2};
    const reel_film film = {.scene = &scene, .n_scenes = 1, .width = W, .height = H, .fps = 8};
    const uint8_t grey[] = {0, 0};
    assert_int_equal(write_film(r, &film, NULL), REEL_OK);
    is_film(r, grey, 2);
}

static void test_film_sheet_has_a_row_for_each_scene(void **state) {
    rig *r = begin(state);
    reel_sheet *sheet;
    reel_picture made;
    const reel_sheet_options o = {REEL_FILM_COLUMNS, W, H};
    const reel_film_part part[] = {{r->a, 0, 6}, {r->b, 0, 2}};
    const reel_film_scene scene[] = {
        {.label = "one", .part = part, .n_parts = 1, .frames = 6},
        {.label = "two", .part = part + 1, .n_parts = 1, .frames = 2, .fade = 1}};
    const reel_film film = {.scene = scene, .n_scenes = 2, .width = W, .height = H, .fps = 8};
    assert_int_equal(reel_sheet_new(r->env, &o, &sheet), REEL_OK);
    assert_int_equal(write_film(r, &film, sheet), REEL_OK);
    const char *path = SCRATCH(&r->place, "sheet.png");
    assert_int_equal(reel_sheet_write(sheet, path, NULL), REEL_OK);
    reel_sheet_free(&sheet);
    assert_int_equal(reel_picture_read(r->env, path, &made), REEL_OK);
    assert_true(made.width >= REEL_FILM_COLUMNS * W && made.height >= 2 * H);
    int seen[256] = {0};
    for (int i = 0; i < made.width * made.height; i++)
        seen[made.pixels[3 * i]]++;
    for (int i = 0; i < 6; i++) /* every frame of the first */
        assert_true(seen[100 + i] >= W * H);
    assert_true(seen[200] >= 5 * W * H); /* five of the second's first, one of its last */
    assert_true(seen[201] >= W * H && seen[201] < 2 * W * H);
    reel_picture_deinit(r->env, &made);
}

static void test_film_says_what_is_missing(void **state) {
    rig *r = begin(state);
    const reel_film_part part = {r->b, 3, 4};
    const reel_film_scene scene = {.part = &part, .n_parts = 1, .frames = 4};
    const reel_film film = {.scene = &scene, .n_scenes = 1, .width = W, .height = H, .fps = 8};
    assert_int_equal(write_film(r, &film, NULL), REEL_E_FORMAT);
    assert_non_null(strstr(reel_env_message(r->env), "ends after 5 frames, wanted 7"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_film_cuts_between_parts, make, drop),
        cmocka_unit_test_setup_teardown(test_film_fades_are_mixtures, make, drop),
        cmocka_unit_test_setup_teardown(test_film_titles_stand_in_the_middle, make, drop),
        cmocka_unit_test_setup_teardown(test_film_sheet_has_a_row_for_each_scene, make, drop),
        cmocka_unit_test_setup_teardown(test_film_says_what_is_missing, make, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
