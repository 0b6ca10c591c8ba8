/* Scripts in both forms, and those that lie. */
#include "text/storyboard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/op_check.h"
#include "support/scratch.h"

typedef struct rig {
    reel_env *env;
    reel_arena arena;
    reel_story story;
} rig;

static int make(void **state) {
    rig *r = calloc(1, sizeof *r);
    r->env = op_test_env(1);
    reel_arena_init(&r->arena, r->env, 4096, "test");
    *state = r;
    return 0;
}

static int drop(void **state) {
    rig *r = *state;
    reel_arena_deinit(&r->arena);
    const int left = r->env->allocator.bytes != 0;
    reel_env_free(&r->env);
    free(r);
    return left;
}

static reel_status parse(rig *r, const char *text) {
    reel_env_clear(r->env);
    reel_arena_reset(&r->arena);
    return reel_story_parse(r->env, &r->arena, "dir/film", text, (int64_t)strlen(text), &r->story);
}

static const reel_story_scene *scene(const rig *r, int i) {
    assert_true(i < r->story.n_scenes);
    return &r->story.scene[i];
}

static void refused(rig *r, const char *text, int line, const char *part) {
    char where[32];
    snprintf(where, sizeof where, "dir/film:%d: ", line);
    assert_int_equal(parse(r, text), REEL_E_FORMAT);
    const char *message = reel_env_message(r->env);
    if (strncmp(message, where, strlen(where)) != 0 || !strstr(message, part))
        fail_msg("'%s' is not '%s...%s'", message, where, part);
}

static void test_story_reads_plain_text(void **state) {
    rig *r = *state;
    assert_int_equal(parse(r, "# first\r\n"
                              "size: 96x64\n"
                              "fps: 12\n"
                              "seed: 5\n"
                              "steps: 9\n"
                              "cfg-scale: 2.5\n"
                              "fit: letterbox\n"
                              "negative: no @anna\n"
                              "style: soft\n"
                              "seconds: 3\n"
                              "@anna: a woman: tall\n"
                              "title: Hello\n"
                              "shot: @anna walks\n"
                              "  camera: orbit right\n"
                              "  begin: fade 0.5\n"
                              "\t at 2.5 clip: b.mkv\n"
                              "  at 1: @anna sits\n"
                              "  at 0 image: /a.png\n"
                              "shot:\n"
                              "  seed: 6\n"
                              "  seconds: 1.25\n"
                              "  begin: continue\n"
                              "  at 0: night"),
                     REEL_OK);
    const reel_story *s = &r->story;
    assert_int_equal(s->width, 96);
    assert_int_equal(s->height, 64);
    assert_true(s->fps == 12 && s->cfg_scale == 2.5 && s->letterbox);
    assert_int_equal(s->steps, 9);
    assert_string_equal(s->negative_prompt, "no a woman: tall");
    assert_int_equal(s->n_scenes, 3);
    assert_string_equal(scene(r, 0)->title, "Hello");
    assert_true(scene(r, 0)->seconds == 2);
    const reel_story_scene *a = scene(r, 1);
    assert_string_equal(a->prompt, "a woman: tall walks, the camera orbits to the right, soft");
    assert_int_equal(a->line, 13);
    assert_true(a->begin == REEL_STORY_FADE && a->fade_s == 0.5 && a->seconds == 3);
    assert_int_equal(a->seed, 5);
    assert_int_equal(a->n_cards, 3);
    assert_int_equal(a->card[0].kind, REEL_STORY_IMAGE);
    assert_string_equal(a->card[0].text, "/a.png");
    assert_int_equal(a->card[1].kind, REEL_STORY_WORDS);
    assert_string_equal(a->card[1].text,
                        "a woman: tall sits, the camera orbits to the right, soft");
    assert_true(a->card[1].at_s == 1);
    assert_int_equal(a->card[1].line, 17);
    assert_int_equal(a->card[2].kind, REEL_STORY_CLIP);
    assert_string_equal(a->card[2].text, "dir/b.mkv");
    const reel_story_scene *b = scene(r, 2);
    assert_string_equal(b->prompt, "night, soft");
    assert_true(b->begin == REEL_STORY_CONTINUE && b->seed == 6 && b->seconds == 1.25);
    assert_int_equal(b->n_cards, 0);
}

static void test_story_reads_json(void **state) {
    rig *r = *state;
    assert_int_equal(parse(r, "{\"shots\": [{\"prompt\": \"@a\", \"seconds\": 1.5,\n"
                              " \"cards\": [{\"at\": 1, \"text\": \"@a @b\"}]},\n"
                              " {\"title\": \"@b\", \"begin\": \"fade 1\"}],\n"
                              " \"title\": \"T\", \"seed\": 8,\n"
                              " \"names\": {\"a\": \"one\", \"@b\": \"two\"}}"),
                     REEL_OK);
    assert_int_equal(r->story.n_scenes, 3); /* the film's title is the first */
    assert_string_equal(scene(r, 0)->title, "T");
    assert_string_equal(scene(r, 1)->prompt, "one");
    assert_string_equal(scene(r, 1)->card[0].text, "one two");
    assert_string_equal(scene(r, 2)->title, "two");
    assert_int_equal(scene(r, 1)->seed, 8);
    assert_int_equal(scene(r, 2)->line, 3);
}

static void test_story_writes_names_out(void **state) {
    rig *r = *state;
    assert_int_equal(parse(r, "@a: A-@b\n@b: B\n@\xe5\xae\x89\xe5\xa8\x9c: Anna\n"
                              "shot: @a, me@a.b @ @@a \xe2\x80\x94@b. @\xe5\xae\x89\xe5\xa8\x9c"),
                     REEL_OK);
    /* an @ within a word is no name; characters beyond ASCII are letters */
    assert_string_equal(scene(r, 0)->prompt, "A-@b, me@a.b @ @a \xe2\x80\x94@b. Anna");
    assert_int_equal(parse(r, "@a: A @b\n@b: B\nshot: (@a)"), REEL_OK);
    assert_string_equal(scene(r, 0)->prompt, "(A B)");
}

static void test_story_refuses_loops_and_strangers(void **state) {
    rig *r = *state;
    refused(r, "@a: @a\nshot: x", 1, "@a -> @a");
    refused(r, "shot: x\n@a: the @b\n@b: or @c\n@c: and @b", 4, "@b -> @c -> @b");
    refused(r, "shot: x\n  at 1: @y", 2, "the script names nothing");
    refused(r, "@a: x\nshot: @b", 2, "wanted one of @a");
    refused(r, "@a: x\n@a: y\nshot: z", 2, "was said on line 1");
    refused(r, "@a b: x\nshot: z", 1, "a name has 1 to 32");
    refused(r, "{\"shots\": [{\"prompt\": \"x\"}], \"names\": {\"a\": \"@b\",\n\"b\": \"@a\"}}", 2,
            "@a -> @b -> @a");
}

/* 2^30 words from thirty lines. */
static void test_story_bounds_what_names_become(void **state) {
    rig *r = *state;
    char text[2048] = "@n0: word\n";
    for (int i = 1; i <= 30; i++) {
        const size_t n = strlen(text);
        snprintf(text + n, sizeof text - n, "@n%d: @n%d @n%d\n", i, i - 1, i - 1);
    }
    strcat(text, "shot: @n30");
    assert_int_equal(parse(r, text), REEL_E_FORMAT);
    assert_non_null(strstr(reel_env_message(r->env), "more than 8191 bytes"));
}

static void test_story_refuses_impossible_times(void **state) {
    rig *r = *state;
    refused(r, "shot: a\n  seconds: 1\n  at 1: b", 3, "its shot ends at 1 s");
    refused(r, "shot: a\n  at -1: b", 2, "wanted 0 to 600");
    refused(r, "shot: a\n  at nan: b", 2, "got 'nan'");
    refused(r, "shot: a\n  seconds: 0", 2, "wanted 0.04");
    refused(r, "shot: a\n  seconds: 1e9", 2, "wanted 0.04 to 600");
    refused(r, "shot: a\n  at 0: b", 2, "where the shot's prompt on line 1 is");
    refused(r, "shot: a\n  at 1: b\n  at 1: c", 3, "as that on line 2");
    refused(r, "shot: a\n  at 1 image: b\n  at 1 clip: c", 3, "as that on line 2");
    refused(r, "shot: a\n  begin: fade 6", 2, "wanted cut, continue or fade");
    refused(r,
            "shot: a\n  seconds: 1\nshot: b\n  seconds: 1\n  begin: fade 0.6\nshot: c\n"
            "  begin: fade 0.6",
            3, "leave nothing of it");
    refused(r, "title: a\nshot: b\n  begin: continue", 2, "behind a shot");
    refused(r, "{\"shots\": [{\"prompt\": \"a\", \"cards\": [\n{\"text\": \"b\"}]}]}", 2,
            "no 'at'");
    refused(r,
            "{\"shots\": [{\"prompt\": \"a\", \"cards\": [\n{\"at\": 1, \"text\": \"b\","
            "\"image\": \"c\"}]}]}",
            2, "has 2 of text, image and clip");
}

static void test_story_refuses_what_it_does_not_know(void **state) {
    rig *r = *state;
    refused(r, "", 1, "there is no shot");
    refused(r, "shot: a\nwhat", 2, "wanted KEY: WORDS");
    refused(r, "shot: a\n  fps: 3", 2, "a shot has no 'fps'");
    refused(r, "title: a\n  prompt: b", 2, "a title has no 'prompt'");
    refused(r, "shot: a\n  at 1 sound: b", 2, "a card has no 'sound'");
    refused(r, "shot: a\nprompt: b", 2, "a film has no 'prompt'");
    refused(r, "seed: 1\nseed: 2\nshot: a", 2, "a second time");
    refused(r, "seed: 1.5\nshot: a", 1, "a whole number");
    refused(r, "size: 8x8\nshot: a", 1, "each 16 to 8192");
    refused(r, "title:\nshot: a", 1, "has 0 bytes");
    refused(r, "shot: \xff", 1, "is not UTF-8");
    refused(r, "\n{}\n", 1, "there is no shot");
    refused(r, "{\"shots\": {}}", 1, "shots");
    refused(r, "{\n\"sho\\u0074s\": 3}", 1, "shots");
    refused(r, "{\"seed\":\n[1]}", 2, "wanted words or a number");
}

static void test_story_bounds_its_counts(void **state) {
    rig *r = *state;
    char *text = malloc(REEL_STORY_BYTES + 2);
    size_t n = 0;
    for (int i = 0; i <= REEL_STORY_SCENES; i++)
        n += (size_t)sprintf(text + n, "shot: a\n");
    refused(r, text, REEL_STORY_SCENES + 1, "more than 256 shots");
    n = (size_t)sprintf(text, "shot: a\n");
    for (int i = 0; i <= REEL_STORY_CARDS; i++)
        n += (size_t)sprintf(text + n, "  at 1: a\n");
    refused(r, text, REEL_STORY_CARDS + 2, "more than 32 cards");
    n = 0;
    for (int i = 0; i <= REEL_STORY_NAMES; i++)
        n += (size_t)sprintf(text + n, "@n%d: a\n", i);
    refused(r, text, REEL_STORY_NAMES + 1, "more than 128 names");
    memset(text, 'x', REEL_STORY_BYTES + 1);
    text[REEL_STORY_BYTES + 1] = '\0';
    refused(r, text, 1, "wanted at most 262144");
    free(text);
}

static void test_story_reads_files_and_misses_those_of_cards(void **state) {
    rig *r = *state;
    scratch place;
    scratch_make(&place);
    scratch_write(&place, "a.story", "shot: a\n  at 0 image: a.png\n");
    const char *path = SCRATCH(&place, "a.story");
    assert_int_equal(reel_story_read(r->env, &r->arena, path, &r->story), REEL_E_IO);
    assert_non_null(strstr(reel_env_message(r->env), "a.story:2: "));
    assert_non_null(strstr(reel_env_message(r->env), "/a.png: no such file"));
    reel_env_clear(r->env);
    scratch_write(&place, "a.png", "something");
    assert_int_equal(reel_story_read(r->env, &r->arena, path, &r->story), REEL_OK);
    assert_int_equal(r->story.n_scenes, 1);
    scratch_remove(&place);
}

static void test_story_survives_every_failing_allocation(void **state) {
    rig *r = *state;
    const char *const text[] = {"@a: b\nstyle: s\nnegative: @a\ntitle: t\nshot: @a\n  at 1: @a\n",
                                "{\"names\": {\"a\": \"b\"}, \"shots\": [{\"prompt\": \"@a\"}]}"};
    for (int i = 0; i < 2; i++) {
        int k = 1;
        for (;; k++) {
            reel_arena_deinit(&r->arena);
            reel_arena_init(&r->arena, r->env, 64, "test");
            reel_env_clear(r->env);
            reel_alloc_fail_at(r->env, k);
            const reel_status status = reel_story_parse(r->env, &r->arena, "f", text[i],
                                                        (int64_t)strlen(text[i]), &r->story);
            reel_alloc_fail_at(r->env, 0);
            if (status == REEL_OK) break;
            assert_int_equal(status, REEL_E_NOMEM);
        }
        assert_true(k > 5);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_story_reads_plain_text, make, drop),
        cmocka_unit_test_setup_teardown(test_story_reads_json, make, drop),
        cmocka_unit_test_setup_teardown(test_story_writes_names_out, make, drop),
        cmocka_unit_test_setup_teardown(test_story_refuses_loops_and_strangers, make, drop),
        cmocka_unit_test_setup_teardown(test_story_bounds_what_names_become, make, drop),
        cmocka_unit_test_setup_teardown(test_story_refuses_impossible_times, make, drop),
        cmocka_unit_test_setup_teardown(test_story_refuses_what_it_does_not_know, make, drop),
        cmocka_unit_test_setup_teardown(test_story_bounds_its_counts, make, drop),
        cmocka_unit_test_setup_teardown(test_story_reads_files_and_misses_those_of_cards, make,
                                        drop),
        cmocka_unit_test_setup_teardown(test_story_survives_every_failing_allocation, make, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
