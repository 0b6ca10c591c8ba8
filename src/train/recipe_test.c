#include "train/recipe.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/env.h"

static reel_env *test_env(void) {
    reel_env *env;
    assert_int_equal(reel_env_new(NULL, &env), REEL_OK);
    return env;
}

static void refuse(const char *text, const char *part) {
    reel_env *env = test_env();
    reel_recipe r = reel_recipe_default();
    const reel_recipe before = r;
    assert_int_equal(reel_recipe_parse(env, text, (int64_t)strlen(text), "r.json", &r),
                     REEL_E_FORMAT);
    if (!strstr(reel_env_message(env), part)) fail_msg("%s", reel_env_message(env));
    assert_memory_equal(&before, &r, sizeof r);
    reel_env_free(&env);
}

static void test_recipe_unknown_words_are_named_with_what_is_known(void **state) {
    (void)state;
    refuse("{\"vae\":{\"basedim\":3}}", "unknown field \"basedim\", wanted one of: base_dim");
    refuse("{\"vea\":{}}", "unknown section \"vea\", wanted one of: run optimiser data vae");
    refuse("{\"vae\":{\"base_dim\":3}}", "vae.base_dim: wanted an integer in [4,4096], got 3");
    refuse("{\"vae\":{\"delta\":-1}}", "vae.delta: wanted a number in [0,1e+06], got -1");
    refuse("{\"optimiser\":{\"rules\":[{\"match\":\"*\",\"method\":\"sgd\"}]}}", "rules[0].method");
    refuse("{\"optimiser\":{\"decay\":\"step\"}}", "optimiser.decay");
    refuse("{\"data\":{\"buckets\":[]}}", "wanted 1 to 12 sizes, got 0");
    refuse("{\"vae\":{\"dim_mult\":[]}}", "wanted 1 to 8 numbers, got 0");
    refuse("[]", "r.json");
}

static void test_recipe_writes_what_it_reads(void **state) {
    (void)state;
    reel_env *env = test_env();
    reel_recipe r = reel_recipe_default(), again = reel_recipe_default();
    assert_int_equal(r.dit.patch_size.n, 0); /* not said is written as such, too */
    const char *text =
        "{\"run\":{\"seed\":9},\"optimiser\":{\"decay\":\"cosine\",\"rules\":[{\"match\":\"a*\","
        "\"method\":\"muon\",\"lr\":0.5}]},\"vae\":{\"dim_mult\":[1,2,4,4],\"init\":\"x/y\"},"
        "\"data\":{\"buckets\":[{\"width\":32,\"height\":64,\"frames\":5}]},\"about\":\"words\"}";
    assert_int_equal(reel_recipe_parse(env, text, (int64_t)strlen(text), "r", &r), REEL_OK);
    assert_int_equal(r.optimiser.rule[0].method, REEL_METHOD_MUON);
    assert_int_equal(r.vae.dim_mult.n, 4);
    assert_int_equal(r.data.bucket[0].height, 64);
    char *written;
    int64_t bytes;
    assert_int_equal(reel_recipe_write(env, &r, &written, &bytes), REEL_OK);
    assert_int_equal(reel_recipe_parse(env, written, bytes, "w", &again), REEL_OK);
    assert_int_equal(reel_recipe_compatible(env, &r, &again), REEL_OK);
    /* a shorter list in place of a longer one leaves nothing of it */
    const char *two = "{\"data\":{\"buckets\":[{\"width\":8,\"height\":8,\"frames\":1},"
                      "{\"width\":16,\"height\":8,\"frames\":1}]}}",
               *one = "{\"data\":{\"buckets\":[{\"width\":32,\"height\":64,\"frames\":5}]}}";
    assert_int_equal(reel_recipe_parse(env, two, (int64_t)strlen(two), "r", &r), REEL_OK);
    assert_int_equal(reel_recipe_compatible(env, &r, &again), REEL_E_ARG);
    assert_int_equal(reel_recipe_parse(env, one, (int64_t)strlen(one), "r", &r), REEL_OK);
    assert_int_equal(reel_recipe_compatible(env, &r, &again), REEL_OK);
    assert_int_equal(again.optimiser.decay, REEL_DECAY_COSINE);
    assert_int_equal(again.optimiser.n_rules, 1);
    reel_free(env, written);
    reel_env_free(&env);
}

static void test_recipe_set_changes_one_field(void **state) {
    (void)state;
    reel_env *env = test_env();
    reel_recipe r = reel_recipe_default();
    assert_int_equal(reel_recipe_set(env, "vae.z_dim=12", &r), REEL_OK);
    assert_int_equal(reel_recipe_set(env, "dit.vae=a/b", &r), REEL_OK);
    assert_int_equal(reel_recipe_set(env, "optimiser.decay=constant", &r), REEL_OK);
    assert_int_equal(reel_recipe_set(env, "vae.dim_mult=[1,2]", &r), REEL_OK);
    assert_true(r.vae.delta == 0);
    assert_int_equal(reel_recipe_set(env, "vae.delta=2.5", &r), REEL_OK);
    assert_true(r.vae.delta == 2.5);
    assert_int_equal(r.vae.z_dim, 12);
    assert_string_equal(r.dit.vae, "a/b");
    assert_int_equal(r.optimiser.decay, REEL_DECAY_CONSTANT);
    assert_int_equal(r.vae.dim_mult.n, 2);
    const char *const wrong[] = {"z_dim=12", "vae.z_dim", "vae.z=3", "vae.z_dim=x", "nothing"};
    for (int i = 0; i < 5; i++) {
        assert_int_not_equal(reel_recipe_set(env, wrong[i], &r), REEL_OK);
        reel_env_clear(env);
    }
    reel_env_free(&env);
}

static void test_recipe_clips_are_a_path_or_several(void **state) {
    (void)state;
    reel_env *env = test_env();
    reel_recipe r = reel_recipe_default(), other = r;
    assert_int_equal(r.data.clips.n, 0);
    assert_int_equal(reel_recipe_set(env, "data.clips=my clips", &r), REEL_OK);
    assert_int_equal(r.data.clips.n, 1);
    assert_string_equal(r.data.clips.item[0], "my clips");
    assert_int_equal(reel_recipe_compatible(env, &other, &r), REEL_E_ARG); /* other data */
    reel_env_clear(env);
    assert_int_equal(reel_recipe_set(env, "data.clips=[\"a\",\"b.tar\"]", &r), REEL_OK);
    assert_int_equal(r.data.clips.n, 2);
    assert_string_equal(r.data.clips.item[1], "b.tar");
    char *text;
    int64_t bytes;
    assert_int_equal(reel_recipe_write(env, &r, &text, &bytes), REEL_OK);
    assert_int_equal(reel_recipe_parse(env, text, bytes, "again", &other), REEL_OK);
    assert_int_equal(reel_recipe_compatible(env, &other, &r), REEL_OK);
    reel_free(env, text);
    assert_int_equal(reel_recipe_set(env, "data.clips=", &r), REEL_OK);
    assert_int_equal(r.data.clips.n, 0);
    assert_int_equal(reel_recipe_set(env, "data.clips=[1]", &r), REEL_E_FORMAT);
    reel_env_clear(env);
    assert_int_equal(reel_recipe_parse(env, "{\"data\":{\"clips\":3}}", 20, "x", &r),
                     REEL_E_FORMAT);
    assert_non_null(strstr(reel_env_message(env), "clips"));
    reel_env_free(&env);
}

static void test_recipe_rate_warms_up_and_decays(void **state) {
    (void)state;
    reel_recipe r = reel_recipe_default();
    r.run.steps = 1000;
    r.optimiser.warmup = 10;
    r.optimiser.decay_fraction = 0.5;
    r.optimiser.final_lr = 0.1;
    assert_true(fabs(reel_recipe_rate(&r, 0) - 0.1) < 1e-12);
    assert_true(fabs(reel_recipe_rate(&r, 9) - 1) < 1e-12);
    assert_true(fabs(reel_recipe_rate(&r, 500) - 1) < 1e-12);
    assert_true(fabs(reel_recipe_rate(&r, 750) - 0.55) < 1e-12);
    assert_true(fabs(reel_recipe_rate(&r, 1000) - 0.1) < 1e-12);
    r.optimiser.decay = REEL_DECAY_COSINE;
    assert_true(fabs(reel_recipe_rate(&r, 750) - 0.55) < 1e-12);
    assert_true(reel_recipe_rate(&r, 600) > 0.9);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recipe_unknown_words_are_named_with_what_is_known),
        cmocka_unit_test(test_recipe_writes_what_it_reads),
        cmocka_unit_test(test_recipe_set_changes_one_field),
        cmocka_unit_test(test_recipe_clips_are_a_path_or_several),
        cmocka_unit_test(test_recipe_rate_warms_up_and_decays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
