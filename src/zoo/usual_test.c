/* What a folder says of how it is sampled: read, refused, written and read again. */
#include "zoo/usual.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "support/op_check.h"
#include "support/scratch.h"

typedef struct rig {
    reel_env *env;
    scratch place;
} rig;

static void make(rig *r) {
    *r = (rig){.env = op_test_env(1)};
    scratch_make(&r->place);
}

static void unmake(rig *r) {
    scratch_remove(&r->place);
    reel_env_free(&r->env);
}

static reel_status say(rig *r, const char *own, reel_usual *usual) {
    char index[1024];
    snprintf(index, sizeof index, "{\"_class_name\":\"WanPipeline\"%s%.800s}",
             own[0] ? ",\"_reel\":" : "", own);
    scratch_write(&r->place, "model_index.json", index);
    reel_env_clear(r->env);
    return reel_usual_read(r->env, r->place.path, usual);
}

static void test_usual_is_read_over_what_was_there(void **state) {
    (void)state;
    rig r;
    make(&r);
    reel_usual usual = {.width = 832, .steps = 50, .cfg_scale = 5, .anchor = 3, .world = true};
    assert_int_equal(reel_usual_read(r.env, r.place.path, &usual), REEL_OK); /* no index */
    assert_int_equal(say(&r, "", &usual), REEL_OK);                          /* no object */
    assert_int_equal(usual.width, 832);
    assert_true(usual.world);
    assert_int_equal(
        say(&r, "{\"width\":128,\"anchor\":0,\"cfg_scale\":4.5,\"world\":false}", &usual), REEL_OK);
    assert_int_equal(usual.width, 128);
    assert_int_equal(usual.steps, 50);
    assert_int_equal(usual.anchor, 0);
    assert_true(usual.cfg_scale == 4.5);
    assert_false(usual.world);
    unmake(&r);
}

static void test_usual_comes_back_as_it_was_written(void **state) {
    (void)state;
    rig r;
    make(&r);
    const reel_usual whole = {.width = 96,
                              .height = 160,
                              .frames = 33,
                              .fps = 7.5,
                              .steps = 12,
                              .cfg_scale = 5.5,
                              .cfg_scale_clips = 2,
                              .cfg_to = 0.5,
                              .flow_shift = 8,
                              .text_length = 80,
                              .deblock = 0.75,
                              .anchor = 2,
                              .context_noise = 0.2,
                              .world = true};
    const reel_usual each[] = {whole, {.steps = 3, .anchor = 1}, {0}};
    for (size_t i = 0; i < sizeof each / sizeof *each; i++) {
        reel_json_out out;
        const char *text;
        int64_t bytes;
        reel_json_out_init(&out, r.env);
        reel_usual_write(&out, &each[i]);
        assert_int_equal(reel_json_out_text(&out, &text, &bytes), REEL_OK);
        char own[512];
        snprintf(own, sizeof own, "%.*s", (int)bytes, text);
        reel_json_out_deinit(&out);
        reel_usual back = {0};
        if (say(&r, own, &back) != REEL_OK) fail_msg("%s", reel_env_message(r.env));
        assert_memory_equal(&back, &each[i], sizeof back);
    }
    unmake(&r);
}

static void test_usual_refuses_other_keys_and_values(void **state) {
    (void)state;
    static const struct {
        const char *own, *named;
    } bad[] = {
        {"{\"widht\":128}", "widht"},
        {"{\"width\":15}", "width"},
        {"{\"steps\":1001}", "steps"},
        {"{\"steps\":2.5}", "steps"},
        {"{\"deblock\":1.5}", "deblock"},
        {"{\"anchor\":-1}", "anchor"},
        {"{\"world\":1}", "world"},
        {"{\"context_noise\":-0.1}", "context_noise"},
        {"{\"cfg_scale\":\"5\"}", "cfg_scale"},
        {"{\"cfg_to\":1.5}", "cfg_to"},
        {"{\"cfg_scale_clips\":101}", "cfg_scale_clips"},
        {"{\"text_length\":513}", "text_length"},
        {"[1]", "_reel"},
    };
    rig r;
    make(&r);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        reel_usual usual = {0};
        assert_int_equal(say(&r, bad[i].own, &usual), REEL_E_FORMAT);
        if (!strstr(reel_env_message(r.env), bad[i].named))
            fail_msg("%s: %s", bad[i].own, reel_env_message(r.env));
    }
    unmake(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usual_is_read_over_what_was_there),
        cmocka_unit_test(test_usual_comes_back_as_it_was_written),
        cmocka_unit_test(test_usual_refuses_other_keys_and_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
