#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "media/font.h"
#include "media/sheet.h"
#include "media/video_reader.h"
#include "support/media_place.h"

/* The dots of a text as rows of '#' and '.', read back from the picture. */
static void drawn(const media_place *p, const char *text, int max_width, char rows[7][64]) {
    reel_picture picture = {0};
    assert_int_equal(reel_picture_init(p->env, 60, 8, &picture), REEL_OK);
    reel_font_draw(&picture, 0, 0, 1, max_width, text);
    for (int y = 0; y < 7; y++) {
        for (int x = 0; x < 60; x++)
            rows[y][x] = picture.pixels[3 * (y * 60 + x)] ? '#' : '.';
        rows[y][60] = '\0';
    }
    reel_picture_deinit(p->env, &picture);
}

static void test_font_draws_its_dots(void **state) {
    char rows[7][64];
    drawn(*state, "L7", 60, rows);
    static const char *const wanted[7] = {"#.....#####.", "#.........#.", "#........#..",
                                          "#.......#...", "#.......#...", "#.......#...",
                                          "#####...#..."};
    for (int y = 0; y < 7; y++)
        assert_memory_equal(rows[y], wanted[y], 12);
}

static void test_font_tells_every_character_apart(void **state) {
    static char rows[95][7][64];
    for (int c = ' '; c <= '~'; c++) {
        const char text[2] = {(char)c, '\0'};
        drawn(*state, text, 60, rows[c - ' ']);
        for (int other = 0; other < c - ' '; other++)
            if (memcmp(rows[other], rows[c - ' '], sizeof rows[0]) == 0)
                fail_msg("'%c' and '%c' look the same", c, other + ' ');
    }
}

static void test_font_cuts_and_replaces(void **state) {
    char a[7][64] = {{0}}, b[7][64] = {{0}};
    drawn(*state, "abcdefghij", 30, a);
    drawn(*state, "abc..", 60, b);
    assert_memory_equal(a, b, sizeof a);
    drawn(*state, "a\xe7\xba\xb8\xc3\xa9", 60, a);
    drawn(*state, "a??", 60, b);
    assert_memory_equal(a, b, sizeof a);
}

static void test_font_stays_inside(void **state) {
    const media_place *p = *state;
    reel_picture picture = {0};
    assert_int_equal(reel_picture_init(p->env, 20, 10, &picture), REEL_OK);
    reel_font_draw(&picture, -7, -5, 3, 1000, "MMMM");
    reel_font_draw(&picture, 15, 6, 4, 1000, "MMMM"); /* a sanitizer sees a write outside */
    reel_picture_deinit(p->env, &picture);
}

static void test_sheet_places_its_cells(void **state) {
    if (!REEL_FFMPEG) skip();
    const media_place *p = *state;
    const reel_sheet_options o = {.columns = 2, .cell_width = 32, .cell_height = 20};
    reel_sheet *sheet = NULL;
    char path[200];
    assert_int_equal(reel_sheet_new(p->env, &o, &sheet), REEL_OK);
    for (int i = 0; i < 3; i++) {
        reel_picture cell = {0};
        assert_int_equal(reel_picture_init(p->env, 64, 40, &cell), REEL_OK);
        memset(cell.pixels, 50 + 50 * i, 64 * 40 * 3);
        assert_int_equal(reel_sheet_add(sheet, &cell, "x"), REEL_OK);
        reel_picture_deinit(p->env, &cell);
    }
    media_place_path(p, "s.png", path);
    assert_int_equal(reel_sheet_write(sheet, path, NULL), REEL_OK);
    reel_sheet_free(&sheet);
    reel_picture back = {0};
    assert_int_equal(reel_picture_read(p->env, path, &back), REEL_OK);
    assert_int_equal(back.width, 2 * 36 + 4);
    assert_int_equal(back.height, 2 * 36 + 4);
    static const int at[4][2] = {{20, 14}, {56, 14}, {20, 50}, {56, 50}};
    static const uint8_t wanted[4] = {50, 100, 150, 24};
    for (int i = 0; i < 4; i++)
        assert_int_equal(back.pixels[3 * (at[i][1] * back.width + at[i][0])], wanted[i]);
    assert_int_equal(back.pixels[3 * (26 * back.width + 4)], 24);
    reel_picture_deinit(p->env, &back);
    media_place_remove(p, "s.png");
}

static void test_sheet_refuses_nonsense(void **state) {
    const media_place *p = *state;
    static const reel_sheet_options bad[] = {
        {0, 32, 32}, {65, 32, 32}, {4, 8, 32}, {4, 32, 5000}, {64, 4096, 32}};
    reel_sheet *sheet = NULL;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(reel_sheet_new(p->env, &bad[i], &sheet), REEL_E_ARG);
        reel_env_clear(p->env);
    }
    const reel_sheet_options o = reel_sheet_options_default();
    char path[200];
    assert_int_equal(reel_sheet_new(p->env, &o, &sheet), REEL_OK);
    media_place_path(p, "s.png", path);
    assert_int_equal(reel_sheet_write(sheet, path, NULL), REEL_E_ARG);
    reel_env_clear(p->env);
    reel_sheet_free(&sheet);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, media_place_make, media_place_free)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_font_draws_its_dots),    TEST(test_font_tells_every_character_apart),
        TEST(test_font_cuts_and_replaces), TEST(test_font_stays_inside),
        TEST(test_sheet_places_its_cells), TEST(test_sheet_refuses_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
