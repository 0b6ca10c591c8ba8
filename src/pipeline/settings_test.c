#include "pipeline/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "support/op_check.h"
#include "zoo/create.h"

typedef struct rig {
    reel_env *env;
    reel_folder *folder;
    reel_generate_request request;
    reel_settings settings;
    char path[64];
} rig;

static void must(const rig *r, reel_status status) {
    if (status != REEL_OK) fail_msg("%s", reel_env_message(r->env));
}

/* A folder of a preset; own: what model_index.json says under "_reel", or NULL. */
static void open_rig(rig *r, const char *preset, const char *own) {
    *r = (rig){.env = op_test_env(1)};
    char tokenizer[128], index[128];
    snprintf(r->path, sizeof r->path, "/tmp/reel-settings-%ld", (long)getpid());
    snprintf(tokenizer, sizeof tokenizer, "%s.model", r->path);
    must(r, reel_file_write(r->env, tokenizer, "not looked at here", 18));
    reel_blueprint print;
    must(r, reel_blueprint_preset(r->env, preset, &print));
    const reel_create_options options = {.dtype = REEL_BF16, .tokenizer = tokenizer};
    must(r, reel_folder_create(r->env, r->path, &print, &options));
    unlink(tokenizer);
    if (own) {
        char *text, *with;
        int64_t bytes;
        snprintf(index, sizeof index, "%s/model_index.json", r->path);
        must(r, reel_file_read(r->env, index, 1 << 20, &text, &bytes));
        const size_t room = (size_t)bytes + strlen(own) + 32;
        with = malloc(room);
        snprintf(with, room, "{\"_reel\": %s, %s", own, strchr(text, '{') + 1);
        must(r, reel_file_write(r->env, index, with, (int64_t)strlen(with)));
        reel_free(r->env, text);
        free(with);
    }
    must(r, reel_folder_open(r->env, r->path, &r->folder));
    r->request = (reel_generate_request){.cfg_scale = -1, .cfg_to = -1};
}

static void close_rig(rig *r) {
    char command[128];
    reel_folder_close(&r->folder);
    reel_env_free(&r->env);
    snprintf(command, sizeof command, "rm -rf '%s'", r->path);
    assert_int_equal(system(command), 0);
}

static const reel_settings *resolve(rig *r) {
    must(r, reel_settings_resolve(r->env, r->folder, &r->request, &r->settings));
    return &r->settings;
}

static void refused(rig *r, const char *part) {
    assert_true(reel_settings_resolve(r->env, r->folder, &r->request, &r->settings) != REEL_OK);
    if (!strstr(reel_env_message(r->env), part))
        fail_msg("'%s' lacks '%s'", reel_env_message(r->env), part);
    reel_env_clear(r->env);
    r->request = (reel_generate_request){.cfg_scale = -1, .cfg_to = -1};
}

static void test_settings_come_from_the_folder_when_nothing_is_said(void **state) {
    (void)state;
    rig r;
    open_rig(&r, "wan-tiny",
             "{\"width\": 64, \"height\": 96, \"frames\": 9, \"fps\": 12, \"steps\": 7, "
             "\"cfg_scale\": 2.5, \"cfg_to\": 0.75, \"flow_shift\": 4, \"text_length\": 32, "
             "\"deblock\": 0.5}");
    const reel_settings *s = resolve(&r);
    assert_int_equal(s->width, 64);
    assert_int_equal(s->height, 96);
    assert_int_equal(s->frames, 9);
    assert_int_equal(s->F, 3);
    assert_int_equal(s->h, 12);
    assert_int_equal(s->w, 8);
    assert_int_equal(s->fps_num, 12);
    assert_int_equal(s->fps_den, 1);
    assert_int_equal(s->text_length, 32);
    assert_int_equal(s->sampler.kind, REEL_SAMPLER_UNIPC);
    assert_int_equal(s->sampler.n_steps, 7);
    assert_true(s->sampler.schedule.shift == 4);
    assert_true(s->guidance.scale == 2.5);
    assert_true(s->guidance.from == 0 && s->guidance.to == 0.75);
    assert_true(s->deblock == 0.5);
    assert_int_equal(s->n_notes, 0);
    close_rig(&r);
}

static void test_settings_of_windows_are_the_models_unless_said(void **state) {
    (void)state;
    rig r;
    open_rig(&r, "wan-tiny-ti2v", "{\"frames\": 9, \"anchor\": 1, \"context_noise\": 0.25}");
    const reel_settings *s = resolve(&r); /* of a request that says none */
    assert_int_equal(s->spans.anchor, 0);
    assert_true(s->context_noise == 0);
    r.request.anchor = -1;
    r.request.context_noise = -1;
    s = resolve(&r);
    assert_int_equal(s->spans.anchor, 1);
    assert_true(s->context_noise == 0.25);
    r.request.context_noise = 0.5;
    assert_true(resolve(&r)->context_noise == 0.5);
    /* the model's own anchor makes room, one that is asked for does not */
    r.request.window = 5;
    assert_int_equal(resolve(&r)->spans.anchor, 0);
    r.request.anchor = 1;
    refused(&r, "leaves nothing to be made");
    close_rig(&r);
}

static void test_settings_of_the_family_hold_where_a_folder_says_nothing(void **state) {
    (void)state;
    rig r;
    open_rig(&r, "wan-tiny", NULL);
    const reel_settings *s = resolve(&r);
    assert_true(s->guidance.to == 1);
    assert_int_equal(s->width, 128);
    assert_int_equal(s->frames, 17);
    assert_true(s->sampler.schedule.shift == 3); /* of its scheduler's config */
    assert_int_equal(s->text_length, 512);
    close_rig(&r);
}

static void test_settings_sizes_are_rounded_and_said(void **state) {
    (void)state;
    rig r;
    open_rig(&r, "wan-tiny", NULL);
    static const struct {
        int64_t given, wanted;
    } width[] = {{16, 16}, {17, 16}, {24, 32}, {23, 16}, {250, 256}, {8192, 8192}},
      frames[] = {{1, 1}, {2, 1}, {3, 5}, {5, 5}, {6, 5}, {7, 9}, {81, 81}};
    for (size_t i = 0; i < sizeof width / sizeof *width; i++) {
        r.request.width = width[i].given;
        const reel_settings *s = resolve(&r);
        assert_int_equal(s->width, width[i].wanted);
        assert_int_equal(s->n_notes, width[i].given != width[i].wanted);
        if (s->n_notes) assert_non_null(strstr(s->note[0], "multiples of 16x16"));
    }
    r.request.width = 0;
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        r.request.frames = frames[i].given;
        const reel_settings *s = resolve(&r);
        assert_int_equal(s->frames, frames[i].wanted);
        assert_int_equal(s->n_notes, frames[i].given != frames[i].wanted);
    }
    close_rig(&r);
}

static void test_settings_sizes_of_the_second_generation_are_multiples_of_32(void **state) {
    (void)state;
    rig r;
    open_rig(&r, "wan-tiny-ti2v", NULL);
    r.request.width = 100;
    const reel_settings *s = resolve(&r);
    assert_int_equal(s->width, 96);
    assert_int_equal(s->w, 6);
    close_rig(&r);
}

static void test_settings_seconds_and_rates_become_frames(void **state) {
    (void)state;
    rig r;
    open_rig(&r, "wan-tiny", NULL);
    static const struct {
        double fps, seconds;
        int num, den;
        int64_t frames;
    } row[] = {{16, 5, 16, 1, 81},          {23.976, 1, 24000, 1001, 25},
               {29.97, 2, 30000, 1001, 61}, {12.5, 0.4, 25, 2, 5},
               {24, 0.01, 24, 1, 1},        {1, 3, 1, 1, 5},
               {59.94, 0.1, 60000, 1001, 5}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        r.request.fps = row[i].fps;
        r.request.seconds = row[i].seconds;
        const reel_settings *s = resolve(&r);
        assert_int_equal(s->fps_num, row[i].num);
        assert_int_equal(s->fps_den, row[i].den);
        assert_int_equal(s->frames, row[i].frames);
    }
    close_rig(&r);
}

static void test_settings_out_of_range_name_the_field(void **state) {
    (void)state;
    rig r;
    open_rig(&r, "wan-tiny", NULL);
    const double bad[] = {-1, 1e308, (double)NAN, 0x1p63};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        r.request.seconds = bad[i];
        refused(&r, "seconds must be in");
        r.request.fps = bad[i];
        refused(&r, "fps must be in");
        r.request.flow_shift = bad[i];
        refused(&r, "flow_shift must be in");
        r.request.cfg_rescale = bad[i];
        refused(&r, "rescale must be in");
        if (bad[i] > 0 || isnan(bad[i])) {
            r.request.cfg_scale = bad[i];
            refused(&r, "cfg_scale must be in");
        }
    }
    const int64_t worse[] = {-1, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof worse / sizeof *worse; i++) {
        r.request.width = worse[i];
        refused(&r, "width must be in 16..8192");
        r.request.height = worse[i];
        refused(&r, "height must be in");
        r.request.frames = worse[i];
        refused(&r, "frames must be in");
        r.request.steps = worse[i];
        refused(&r, "steps must be in");
    }
    r.request.seed = -5;
    refused(&r, "seed must be in");
    r.request.sampler = "ddim";
    refused(&r, "wanted unipc, euler, heun or dpm++2m");
    r.request.type = "f8";
    refused(&r, "type is 'f8'");
    r.request.frames = 5;
    r.request.seconds = 1;
    refused(&r, "give one of them");
    r.request.fps = 1000;
    r.request.seconds = 100000;
    refused(&r, "seconds times fps");
    r.request.cfg_from = 0.5;
    r.request.cfg_to = 0.25;
    refused(&r, "interval");
    close_rig(&r);
}

static void test_settings_guide_less_where_clips_are_gone_on_from(void **state) {
    (void)state;
    static const struct {
        reel_task_kind task;
        const char *clip;
        double said, guidance;
    } each[] = {{REEL_TASK_EXTEND, "a.mkv", -1, 2}, {REEL_TASK_CONNECT, "a.mkv", -1, 2},
                {REEL_TASK_LOOP, "a.mkv", -1, 2},   {REEL_TASK_LOOP, NULL, -1, 4},
                {REEL_TASK_GENERATE, NULL, -1, 4},  {REEL_TASK_ANIMATE, NULL, -1, 4},
                {REEL_TASK_EDIT, "a.mkv", -1, 4},   {REEL_TASK_EXTEND, "a.mkv", 6, 6}};
    rig r;
    open_rig(&r, "wan-tiny", "{\"cfg_scale\": 4, \"cfg_scale_clips\": 2}");
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        r.request.task = each[i].task;
        r.request.clip[0] = each[i].clip;
        r.request.cfg_scale = each[i].said;
        assert_true(resolve(&r)->guidance.scale == each[i].guidance);
    }
    close_rig(&r);
}

static void test_settings_of_a_folder_that_are_nonsense_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *own, *why;
    } bad[] = {{"{\"width\": 0}", "_reel.width"},
               {"{\"fps\": \"many\"}", "_reel.fps"},
               {"{\"deblock\": 1.5}", "_reel.deblock"},
               {"{\"colour\": 1}", "colour"},
               {"[]", "_reel"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rig r;
        open_rig(&r, "wan-tiny", bad[i].own);
        refused(&r, bad[i].why);
        close_rig(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings_come_from_the_folder_when_nothing_is_said),
        cmocka_unit_test(test_settings_of_windows_are_the_models_unless_said),
        cmocka_unit_test(test_settings_of_the_family_hold_where_a_folder_says_nothing),
        cmocka_unit_test(test_settings_sizes_are_rounded_and_said),
        cmocka_unit_test(test_settings_sizes_of_the_second_generation_are_multiples_of_32),
        cmocka_unit_test(test_settings_seconds_and_rates_become_frames),
        cmocka_unit_test(test_settings_out_of_range_name_the_field),
        cmocka_unit_test(test_settings_guide_less_where_clips_are_gone_on_from),
        cmocka_unit_test(test_settings_of_a_folder_that_are_nonsense_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
