/* Mistakes of a model that is a function: what it is asked, and where its errors go. */
#include "train/vae_mistakes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "support/op_check.h"

enum { Z = 3, PLACES = 4, N_ASKED = 64 };
static const reel_bucket size = {16, 16, 5, 1};
static const uint8_t rgb[16 * 16 * 5 * 3] = {7};

/* What the model was asked last, and over all of them. */
typedef struct asked {
    char text[REEL_SOURCE_CAPTION_BYTES];
    double least, most;
    int chinese;
    bool fails;
    reel_env *env;
} asked;

static reel_status caption(reel_env *env, void *context, int64_t index, const reel_bucket *s,
                           bool chinese, uint64_t variant, char *text) {
    (void)env, (void)variant;
    asked *a = context;
    assert_int_equal(index, 12);
    assert_ptr_equal(s, &size);
    a->chinese += chinese;
    strcpy(text, chinese ? "zh" : "en");
    return REEL_OK;
}

/* Channel k is off by 10 k + place. */
static reel_status make(void *model, const uint8_t *pixels, const char *text, double t,
                        uint64_t seed, float *error) {
    asked *a = model;
    (void)seed;
    assert_ptr_equal(pixels, rgb);
    assert_true(strcmp(text, "zh") == 0 || strcmp(text, "en") == 0);
    a->least = t < a->least ? t : a->least;
    a->most = t > a->most ? t : a->most;
    for (int i = 0; i < Z * PLACES; i++)
        error[i] = (float)(10 * (i / PLACES) + i % PLACES);
    return a->fails ? reel_fail(a->env, REEL_E_IO, "no") : REEL_OK;
}

static void test_mistakes_are_raw_latents_with_channels_fastest(void **state) {
    (void)state;
    asked a = {.least = 2, .env = op_test_env(1)};
    const reel_source source = {.context = &a, .has_chinese = true, .caption = caption};
    const reel_pool_clip clip = {.index = 12, .size = &size, .rgb = rgb};
    const reel_mistakes mistakes = {.model = &a, .latents = Z * PLACES, .make = make};
    reel_wan_vae_config config = reel_wan_vae_config_default();
    config.z_dim = Z;
    for (int k = 0; k < Z; k++)
        config.latents_std[k] = (float)(k + 1);
    for (uint64_t i = 0; i < N_ASKED; i++) {
        const reel_mistake m = {.source = &source, .clip = &clip, .seed = 3, .index = i};
        float error[Z * PLACES];
        assert_int_equal(reel_vae_mistake(a.env, &mistakes, &config, &m, error), REEL_OK);
        for (int p = 0; p < PLACES; p++)
            for (int k = 0; k < Z; k++)
                assert_float_equal(error[p * Z + k], (float)((k + 1) * (10 * k + p)), 0);
    }
    assert_true(a.least >= 0.05 && a.least < 0.15 && a.most > 0.55 && a.most <= 0.65);
    assert_in_range(a.chinese, N_ASKED / 4, N_ASKED * 3 / 4);
    reel_env_free(&a.env);
}

static void test_mistakes_hand_on_what_fails(void **state) {
    (void)state;
    asked a = {.fails = true, .env = op_test_env(1)};
    const reel_source source = {.context = &a, .caption = caption};
    const reel_pool_clip clip = {.index = 12, .size = &size, .rgb = rgb};
    const reel_mistakes mistakes = {.model = &a, .latents = Z * PLACES, .make = make};
    reel_wan_vae_config config = reel_wan_vae_config_default();
    config.z_dim = Z;
    const reel_mistake m = {.source = &source, .clip = &clip};
    float error[Z * PLACES];
    assert_int_equal(reel_vae_mistake(a.env, &mistakes, &config, &m, error), REEL_E_IO);
    assert_int_equal(a.chinese, 0); /* the source has none */
    reel_env_free(&a.env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mistakes_are_raw_latents_with_channels_fastest),
        cmocka_unit_test(test_mistakes_hand_on_what_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
