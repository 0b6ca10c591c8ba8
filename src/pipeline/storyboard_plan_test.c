/* Which generations a script comes to. */
#include "pipeline/storyboard_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "media/video_writer.h"
#include "support/op_check.h"
#include "support/scratch.h"

typedef struct rig {
    reel_env *env;
    reel_arena arena;
    scratch place;
    reel_story story;
    reel_story_plan plan;
} rig;

static void write_clip(rig *r) {
    static const uint8_t grey[3 * 32 * 32];
    reel_video_writer *writer;
    reel_video_options o = reel_video_options_default();
    o.width = o.height = 32;
    assert_int_equal(reel_video_writer_open(r->env, SCRATCH(&r->place, "clip.mkv"), &o, &writer),
                     REEL_OK);
    for (int i = 0; i < 10; i++)
        assert_int_equal(reel_video_writer_push(writer, grey), REEL_OK);
    assert_int_equal(reel_video_writer_finish(writer), REEL_OK);
    reel_video_writer_close(&writer);
}

static int make(void **state) {
    rig *r = calloc(1, sizeof *r);
    r->env = op_test_env(1);
    reel_arena_init(&r->arena, r->env, 4096, "test");
    scratch_make(&r->place);
    if (REEL_FFMPEG) write_clip(r);
    *state = r;
    return 0;
}

static int drop(void **state) {
    rig *r = *state;
    reel_arena_deinit(&r->arena);
    scratch_remove(&r->place);
    const int left = r->env->allocator.bytes != 0;
    reel_env_free(&r->env);
    free(r);
    return left;
}

/* At 8 frames a second, 4 of them in a latent frame. */
static reel_status plan(rig *r, const char *text) {
    const char *name = reel_arena_strdup(&r->arena, SCRATCH(&r->place, "s"));
    reel_env_clear(r->env);
    assert_int_equal(
        reel_story_parse(r->env, &r->arena, name, text, (int64_t)strlen(text), &r->story), REEL_OK);
    return reel_story_plan_make(r->env, &r->arena, &r->story, 8, 4, &r->plan);
}

static const reel_story_piece *is_piece(const rig *r, int i, int scene, const char *prompt,
                                        int64_t context, int64_t n) {
    const reel_story_piece *p = &r->plan.piece[i];
    assert_true(i < r->plan.n_pieces);
    assert_int_equal(p->scene, scene);
    assert_string_equal(p->prompt, prompt);
    assert_int_equal(p->context, context);
    assert_int_equal(p->n, n);
    return p;
}

/* Without FFmpeg there are no clips. */
static rig *begin(void **state) {
    if (!REEL_FFMPEG) skip();
    return *state;
}

static void test_plan_begins_a_piece_where_words_change(void **state) {
    rig *r = begin(state);
    assert_int_equal(plan(r, "title: t\nshot: a\n  seconds: 2\n  at 0.5: b\n  at 1: c\n"), REEL_OK);
    assert_int_equal(r->plan.n_pieces, 3);
    is_piece(r, 0, 1, "a", 0, 4);
    is_piece(r, 1, 1, "b", 1, 4); /* four frames are one latent frame and no more */
    is_piece(r, 2, 1, "c", 5, 8); /* now there are five: two latent frames */
    assert_int_equal(r->plan.piece[1].line, 4);
    assert_int_equal(r->plan.frames[0], 16);
    assert_int_equal(r->plan.frames[1], 16);
}

static void test_plan_continues_a_shot_from_the_one_before(void **state) {
    rig *r = begin(state);
    assert_int_equal(plan(r, "shot: a\nshot: b\n  begin: continue\n  seconds: 1\nshot: c\n"),
                     REEL_OK);
    is_piece(r, 0, 0, "a", 0, 32);
    is_piece(r, 1, 1, "b", 9, 8);
    is_piece(r, 2, 2, "c", 0, 32);
    assert_int_equal(reel_story_frames(&r->plan, 1), 1);
    assert_int_equal(reel_story_frames(&r->plan, 17), 17);
    assert_int_equal(reel_story_frames(&r->plan, 18), 21);
}

static void test_plan_places_cards_in_their_pieces(void **state) {
    rig *r = begin(state);
    assert_int_equal(plan(r, "shot: a\n  seconds: 3\n  at 0 image: p.png\n  at 0.5 clip: clip.mkv\n"
                             "  at 1: b\n  at 2.5 image: q.png\n"),
                     REEL_OK);
    assert_int_equal(r->plan.n_pieces, 2);
    const reel_story_piece *a = is_piece(r, 0, 0, "a", 0, 8), *b = is_piece(r, 1, 0, "b", 5, 16);
    assert_int_equal(a->n_known, 2);
    assert_int_equal(a->known[0].n, 0);
    assert_int_equal(a->known[1].frame, 4);
    assert_int_equal(a->known[1].n, 4); /* up to where the words change */
    assert_int_equal(b->n_known, 2);
    assert_int_equal(b->known[0].frame, 0);
    assert_int_equal(b->known[0].from, 4); /* and on */
    assert_int_equal(b->known[0].n, 6);
    assert_int_equal(b->known[1].frame, 12);
}

static void test_plan_refuses_times_within_a_frame(void **state) {
    rig *r = begin(state);
    assert_int_equal(plan(r, "shot: a\n  at 1: b\n  at 1.01: c\n"), REEL_E_FORMAT);
    assert_non_null(strstr(reel_env_message(r->env), "s:3: at 8 frames a second 1.01 s is not"));
    assert_int_equal(plan(r, "shot: a\n  seconds: 0.05\n"), REEL_E_FORMAT);
    assert_non_null(strstr(reel_env_message(r->env), "s:1: "));
    assert_int_equal(plan(r, "shot: a\n  seconds: 1\n  at 0.99: b\n"), REEL_E_FORMAT);
    assert_non_null(strstr(reel_env_message(r->env), "behind the last frame"));
    assert_int_equal(plan(r, "shot: a\n  at 1 clip: none.mkv\n"), REEL_E_IO);
    assert_non_null(strstr(reel_env_message(r->env), "s:2: "));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plan_begins_a_piece_where_words_change, make, drop),
        cmocka_unit_test_setup_teardown(test_plan_continues_a_shot_from_the_one_before, make, drop),
        cmocka_unit_test_setup_teardown(test_plan_places_cards_in_their_pieces, make, drop),
        cmocka_unit_test_setup_teardown(test_plan_refuses_times_within_a_frame, make, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
