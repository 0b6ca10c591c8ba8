#include "pipeline/task.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "media/video_writer.h"
#include "support/op_check.h"

/* Files in a folder of their own: a picture and clips of 64x32. */
typedef struct rig {
    reel_env *env;
    char folder[64], picture[96], other[96], clip[96], brief[96];
    reel_generate_request request, adjusted;
    reel_settings settings;
    reel_job task;
} rig;

static void write_frames(rig *r, const char *path, int n) {
    if (!REEL_FFMPEG) return; /* every test is skipped then */
    uint8_t pixels[64 * 32 * 3];
    reel_video_writer *writer;
    reel_video_options o = reel_video_options_default();
    o.width = 64;
    o.height = 32;
    o.fps = (reel_rational){8, 1};
    assert_int_equal(reel_video_writer_open(r->env, path, &o, &writer), REEL_OK);
    for (int i = 0; i < n; i++) {
        memset(pixels, 10 * i, sizeof pixels);
        assert_int_equal(reel_video_writer_push(writer, pixels), REEL_OK);
    }
    assert_int_equal(reel_video_writer_finish(writer), REEL_OK);
    reel_video_writer_close(&writer);
}

static int open_rig(void **state) {
    rig *r = calloc(1, sizeof *r);
    r->env = op_test_env(1);
    strcpy(r->folder, "/tmp/reel-task.XXXXXX");
    assert_non_null(mkdtemp(r->folder));
    snprintf(r->picture, sizeof r->picture, "%s/picture.png", r->folder);
    snprintf(r->other, sizeof r->other, "%s/other.png", r->folder);
    snprintf(r->clip, sizeof r->clip, "%s/clip.mkv", r->folder);
    snprintf(r->brief, sizeof r->brief, "%s/brief.mkv", r->folder);
    write_frames(r, r->picture, 1);
    write_frames(r, r->other, 1);
    write_frames(r, r->clip, 23);
    write_frames(r, r->brief, 2);
    *state = r;
    return 0;
}

static int close_rig(void **state) {
    rig *r = *state;
    unlink(r->picture);
    unlink(r->other);
    unlink(r->clip);
    unlink(r->brief);
    rmdir(r->folder);
    reel_env_free(&r->env);
    free(r);
    return 0;
}

static const reel_spans spans = {.factor = 4, .most = 17, .window = 9, .context = 3};

/* Looks and places, as if the model made every size. */
static reel_status lay(rig *r) {
    reel_env_clear(r->env);
    reel_status status = reel_task_look(r->env, &r->request, &spans, &r->adjusted, &r->task);
    if (status != REEL_OK) return status;
    const int64_t frames = r->adjusted.frames ? r->adjusted.frames : 17;
    r->settings = (reel_settings){.width = r->adjusted.width,
                                  .height = r->adjusted.height,
                                  .frames = frames,
                                  .F = 1 + (frames - 1) / 4};
    r->settings.sampler.schedule.shift = 3;
    return reel_task_place(r->env, &r->adjusted, &r->settings, &r->task);
}

static void begin(rig *r, reel_task_kind kind, const char *clip) {
    if (!REEL_FFMPEG) skip();
    r->request = reel_generate_request_default();
    r->request.task = kind;
    r->request.clip[0] = clip;
    r->request.seconds = 1; /* 8 frames */
}

static void is_input(const rig *r, int i, const char *path, int64_t from, int64_t n, int64_t at,
                     int64_t latents) {
    const reel_task_input *input = &r->task.input[i];
    assert_true(i < r->task.n_inputs);
    assert_string_equal(input->path, path);
    assert_int_equal(input->from, from);
    assert_int_equal(input->n, n);
    assert_int_equal(input->at, at);
    assert_int_equal(input->latents, latents);
    assert_true(input->hash != 0);
}

static void is_segment(const rig *r, int i, const char *path, int64_t from, int64_t n) {
    const reel_task_segment *segment = &r->task.segment[i];
    assert_true(i < r->task.n_segments);
    if (path)
        assert_string_equal(segment->path, path);
    else
        assert_null(segment->path);
    assert_int_equal(segment->from, from);
    assert_int_equal(segment->n, n);
}

static void refused(rig *r, reel_status want, const char *part) {
    assert_int_equal(lay(r), want);
    if (!strstr(reel_env_message(r->env), part))
        fail_msg("'%s' lacks '%s'", reel_env_message(r->env), part);
}

static void test_task_pictures_land_in_the_latents_of_their_frames(void **state) {
    rig *r = *state;
    const reel_keyframe list[] = {{.frame = 0, .path = r->picture},
                                  {.frame = -1, .path = r->other},
                                  {.frame = 5, .path = r->picture}};
    begin(r, REEL_TASK_ANIMATE, NULL);
    r->request.keyframe = list;
    r->request.n_keyframes = 3;
    assert_int_equal(lay(r), REEL_OK);
    is_input(r, 0, r->picture, 0, 1, 0, 1);
    is_input(r, 1, r->other, 0, 1, 4, 1);
    is_input(r, 2, r->picture, 0, 1, 2, 1);
    is_segment(r, 0, NULL, 0, 17);
    assert_true(r->task.input[0].hash == r->task.input[1].hash); /* the same pixels */
}

static void test_task_pictures_that_do_not_fit_are_refused(void **state) {
    rig *r = *state;
    reel_keyframe list[] = {{.frame = 5, .path = r->picture}, {.frame = 8, .path = r->other}};
    begin(r, REEL_TASK_ANIMATE, NULL);
    r->request.keyframe = list;
    refused(r, REEL_E_ARG, "no picture");
    r->request.n_keyframes = 2;
    refused(r, REEL_E_ARG, "too near");
    list[1].frame = 17;
    refused(r, REEL_E_ARG, "wanted 0 to 16");
    list[1].frame = -18;
    refused(r, REEL_E_ARG, "wanted 0 to 16");
    list[1] = (reel_keyframe){.frame = 9, .path = r->clip};
    refused(r, REEL_E_ARG, "is a video");
    list[1].path = "/none.png";
    refused(r, REEL_E_IO, "/none.png");
}

static void test_task_parts_of_clips_fill_whole_latents(void **state) {
    rig *r = *state;
    reel_keyframe list[] = {{.frame = 0, .path = r->clip, .from = 14, .n = 6},
                            {.frame = 10, .path = r->clip, .from = 2, .n = 7}};
    begin(r, REEL_TASK_ANIMATE, NULL);
    r->request.keyframe = list;
    r->request.n_keyframes = 2;
    assert_int_equal(lay(r), REEL_OK);
    is_input(r, 0, r->clip, 14, 5, 0, 2); /* frame 5 is in a latent that it does not fill */
    is_input(r, 1, r->clip, 5, 4, 4, 1);  /* frames 13 to 16 of the canvas */
    list[1].frame = 5;
    assert_int_equal(lay(r), REEL_OK);
    is_input(r, 1, r->clip, 2, 4, 2, 1);
    list[1].frame = 4;
    assert_int_equal(lay(r), REEL_OK);
    is_input(r, 1, r->clip, 3, 4, 2, 1);
    list[1].frame = 1;
    refused(r, REEL_E_ARG, "too near");
    list[1] = (reel_keyframe){.frame = 10, .path = r->clip, .n = 3};
    refused(r, REEL_E_ARG, "too few");
    list[1] = (reel_keyframe){.frame = 14, .path = r->clip, .n = 4};
    refused(r, REEL_E_ARG, "wanted 0 to 13");
    list[1] = (reel_keyframe){.frame = 6, .path = r->clip, .from = 20, .n = 4};
    refused(r, REEL_E_ARG, "has 23 frames");
    list[0] = (reel_keyframe){.frame = 0, .path = r->clip, .n = 17};
    r->request.n_keyframes = 1;
    refused(r, REEL_E_ARG, "nothing is left");
}

static void test_task_forward_goes_on_behind_the_clip(void **state) {
    rig *r = *state;
    begin(r, REEL_TASK_EXTEND, r->clip);
    assert_int_equal(lay(r), REEL_OK);
    is_input(r, 0, r->clip, 14, 9, 0, 3);
    is_segment(r, 0, r->clip, 0, 23);
    is_segment(r, 1, NULL, 9, 8);
    assert_int_equal(r->task.F, 5);
    assert_int_equal(r->task.frames, 31);
    assert_int_equal(r->adjusted.width, 64);
    assert_true(r->adjusted.fps == 8);
    r->request.clip[0] = r->brief; /* one frame is enough */
    assert_int_equal(lay(r), REEL_OK);
    is_input(r, 0, r->brief, 1, 1, 0, 1);
    is_segment(r, 1, NULL, 1, 8);
}

static void test_task_backward_ends_where_the_clip_begins(void **state) {
    rig *r = *state;
    begin(r, REEL_TASK_EXTEND, r->clip);
    r->request.backward = true;
    assert_int_equal(lay(r), REEL_OK);
    is_input(r, 0, r->clip, 0, 8, 3, 2);
    is_segment(r, 0, NULL, 1, 8); /* 9 are made, the first is too many */
    is_segment(r, 1, r->clip, 0, 23);
    r->request.clip[0] = r->brief; /* its last frame holds */
    assert_int_equal(lay(r), REEL_OK);
    is_input(r, 0, r->brief, 0, 2, 3, 1);
}

static void test_task_connect_and_loop_have_something_on_both_sides(void **state) {
    rig *r = *state;
    begin(r, REEL_TASK_CONNECT, r->clip);
    refused(r, REEL_E_ARG, "no clip");
    r->request.clip[1] = r->brief;
    assert_int_equal(lay(r), REEL_OK);
    is_input(r, 0, r->clip, 14, 9, 0, 3);
    is_input(r, 1, r->brief, 0, 2, 5, 1);
    is_segment(r, 0, r->clip, 0, 23);
    is_segment(r, 1, NULL, 9, 8);
    is_segment(r, 2, r->brief, 0, 2);
    begin(r, REEL_TASK_LOOP, r->clip);
    assert_int_equal(lay(r), REEL_OK);
    is_input(r, 1, r->clip, 0, 8, 5, 2);
    assert_int_equal(r->task.n_segments, 2);
    assert_true(r->task.is_loop);
}

static void test_task_edit_takes_the_whole_clip_at_a_shifted_level(void **state) {
    rig *r = *state;
    begin(r, REEL_TASK_EDIT, r->clip);
    refused(r, REEL_E_ARG, "strength");
    r->request.strength = 0.5;
    assert_int_equal(lay(r), REEL_OK);
    is_input(r, 0, r->clip, 0, 23, 0, 7);
    assert_true(r->task.input[0].level == 0.75); /* by a shift of 3: 3 x 0.5 / (1 + 2 x 0.5) */
    is_segment(r, 0, NULL, 0, 23);
    r->request.clip[0] = r->picture;
    refused(r, REEL_E_ARG, "is a picture");
}

static void test_task_connect_makes_as_many_frames_as_are_asked(void **state) {
    rig *r = *state;
    for (int64_t n = 1; n <= 9; n++) {
        begin(r, REEL_TASK_CONNECT, r->clip);
        r->request.clip[1] = r->clip;
        r->request.seconds = 0;
        r->request.frames = n;
        assert_int_equal(lay(r), REEL_OK);
        is_segment(r, 1, NULL, 9, n);
        const int64_t made = (n + 3) / 4;
        is_input(r, 1, r->clip, 4 * made - n, 8, 3 + made, 2); /* latents are whole */
    }
}

static void test_task_long_ones_begin_with_a_windows_context(void **state) {
    rig *r = *state;
    begin(r, REEL_TASK_EXTEND, r->clip);
    r->request.seconds = 60;
    assert_int_equal(lay(r), REEL_OK);
    is_input(r, 0, r->clip, 14, 9, 0, 3);
    assert_int_equal(r->task.F, 3 + 120);
    assert_int_equal(r->task.n_steps, 0);
    begin(r, REEL_TASK_CONNECT, r->clip);
    r->request.clip[1] = r->clip;
    r->request.seconds = 60;
    assert_int_equal(lay(r), REEL_OK);
    is_input(r, 1, r->clip, 0, 8, 123, 2);
}

static void test_task_backward_goes_in_steps_of_a_window(void **state) {
    rig *r = *state;
    begin(r, REEL_TASK_EXTEND, r->clip);
    r->request.backward = true;
    r->request.seconds = 0;
    r->request.frames = 100;
    assert_int_equal(lay(r), REEL_OK);
    assert_int_equal(r->task.F, 9);
    is_input(r, 0, r->clip, 0, 12, 6, 3);
    is_segment(r, 0, NULL, 0, 100);
    is_segment(r, 1, r->clip, 0, 23);
    assert_int_equal(r->task.n_steps, 5);
    int64_t sum = 0;
    for (int64_t i = 0; i < 5; i++) { /* 1 + 5 x 4 of a window are new */
        assert_int_equal(reel_task_step_frames(&r->task, i), i < 4 ? 21 : 16);
        sum += reel_task_step_frames(&r->task, i);
    }
    assert_int_equal(sum, 100);
    reel_job step;
    reel_task_step(&r->task, 0, NULL, &step);
    assert_string_equal(step.input[0].path, r->clip);
    assert_int_equal(step.segment[0].from, 0);
    reel_task_step(&r->task, 4, "part", &step);
    assert_string_equal(step.input[0].path, "part");
    assert_int_equal(step.input[0].n, 12);
    assert_int_equal(step.input[0].at, 6);
    assert_int_equal(step.segment[0].from, 5); /* the first five are too many */
    assert_int_equal(step.segment[0].n, 16);
}

static void test_task_keeps_a_part_of_a_clip(void **state) {
    rig *r = *state;
    begin(r, REEL_TASK_EXTEND, r->clip);
    r->request.keep_from_s = 0.5;
    r->request.keep_to_s = 2;
    assert_int_equal(lay(r), REEL_OK);
    is_segment(r, 0, r->clip, 4, 12);
    is_input(r, 0, r->clip, 7, 9, 0, 3);
    r->request.backward = true;
    assert_int_equal(lay(r), REEL_OK);
    is_input(r, 0, r->clip, 4, 8, 3, 2);
    is_segment(r, 1, r->clip, 4, 12);
    r->request.keep_to_s = 3; /* it has 2.875 s */
    refused(r, REEL_E_ARG, "of its 23");
    r->request.keep_from_s = -1;
    refused(r, REEL_E_ARG, "-1 s");
}

static void test_task_blend_is_as_long_as_the_shorter_clip(void **state) {
    rig *r = *state;
    const reel_curve_point curve[] = {{0, 0}, {0.5, 0.2}, {1, 1}}, back[] = {{0, 0}, {1, 2}};
    begin(r, REEL_TASK_BLEND, r->clip);
    r->request.clip[1] = r->brief;
    r->request.strength = 0.6;
    r->request.curve = curve;
    r->request.n_curve = 3;
    assert_int_equal(lay(r), REEL_OK);
    is_input(r, 0, r->clip, 0, 2, 0, 2);
    is_input(r, 1, r->brief, 0, 2, 0, 2);
    is_segment(r, 0, NULL, 0, 2);
    r->request.n_curve = 2;
    refused(r, REEL_E_ARG, "from time 0 to 1");
    r->request.curve = back;
    refused(r, REEL_E_ARG, "weights in 0..1");
}

static void test_task_mask_may_be_a_clip_as_long(void **state) {
    rig *r = *state;
    begin(r, REEL_TASK_EDIT, r->clip);
    r->request.strength = 0.5;
    r->request.mask = r->clip;
    assert_int_equal(lay(r), REEL_OK);
    assert_true(r->task.mask_moves);
    r->request.mask = r->picture;
    assert_int_equal(lay(r), REEL_OK);
    assert_false(r->task.mask_moves);
    r->request.mask = r->brief;
    refused(r, REEL_E_ARG, "the mask has 2 frames, wanted the clip's 23");
}

static void test_task_kept_frames_keep_their_size(void **state) {
    rig *r = *state;
    begin(r, REEL_TASK_EXTEND, r->clip);
    assert_int_equal(lay(r), REEL_OK);
    r->settings.width = 96; /* what a model might round 64 to */
    assert_int_equal(reel_task_place(r->env, &r->adjusted, &r->settings, &r->task), REEL_E_ARG);
    assert_non_null(strstr(reel_env_message(r->env), "--size 96x32"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_task_pictures_land_in_the_latents_of_their_frames),
        cmocka_unit_test(test_task_pictures_that_do_not_fit_are_refused),
        cmocka_unit_test(test_task_parts_of_clips_fill_whole_latents),
        cmocka_unit_test(test_task_forward_goes_on_behind_the_clip),
        cmocka_unit_test(test_task_backward_ends_where_the_clip_begins),
        cmocka_unit_test(test_task_connect_and_loop_have_something_on_both_sides),
        cmocka_unit_test(test_task_edit_takes_the_whole_clip_at_a_shifted_level),
        cmocka_unit_test(test_task_connect_makes_as_many_frames_as_are_asked),
        cmocka_unit_test(test_task_long_ones_begin_with_a_windows_context),
        cmocka_unit_test(test_task_backward_goes_in_steps_of_a_window),
        cmocka_unit_test(test_task_keeps_a_part_of_a_clip),
        cmocka_unit_test(test_task_blend_is_as_long_as_the_shorter_clip),
        cmocka_unit_test(test_task_mask_may_be_a_clip_as_long),
        cmocka_unit_test(test_task_kept_frames_keep_their_size),
    };
    return cmocka_run_group_tests(tests, open_rig, close_rig);
}
