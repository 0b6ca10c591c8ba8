#include "data/latents.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "data/pool.h"

static const reel_bucket buckets[2] = {{16, 8, 3, 1}, {8, 16, 5, 1}};
enum { GROUP = REEL_SOURCE_GROUP };
static const reel_world_source world = {.seed = 3, .split = REEL_SOURCE_TRAIN, .fps = 8};

/* The latent of a position is its first pixel, in one channel; counts its calls. */
typedef struct counter {
    int n;
    bool fails;
} counter;

static reel_status encode(void *context, const uint8_t *rgb, const reel_bucket *size,
                          reel_bf16 *latent) {
    counter *c = context;
    if (c->fails) return REEL_E_NOMEM;
    c->n++;
    const int64_t h = size->height / 8, w = size->width / 8;
    for (int64_t i = 0; i < (1 + (size->frames - 1) / 2) * h * w; i++) {
        const int64_t frame = i / (h * w) * 2, y = i / w % h * 8, x = i % w * 8;
        latent[i] = reel_f32_to_bf16(rgb[((frame * size->height + y) * size->width + x) * 3]);
    }
    return REEL_OK;
}

static reel_latents *open_latents(reel_env *env, const char *folder, const char *key, counter *c) {
    const reel_latents_encoder e = {c, encode, 1, 2, 8};
    const reel_source source = reel_source_of_world(&world);
    reel_latents *l;
    assert_int_equal(reel_latents_open(env, folder, key, &source, buckets, 2, &e, &l), REEL_OK);
    return l;
}

static void remove_all(const char *folder, int n) {
    char path[128];
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/latents-%08d.safetensors", folder, i);
        unlink(path);
    }
    assert_int_equal(rmdir(folder), 0);
}

static void test_latents_are_made_once_and_found_again(void **state) {
    (void)state;
    char folder[] = "latents_test.XXXXXX";
    assert_non_null(mkdtemp(folder));
    reel_env *env;
    assert_int_equal(reel_env_new(NULL, &env), REEL_OK);
    counter c = {0};
    reel_latents *l = open_latents(env, folder, "k", &c);
    assert_int_equal(reel_latents_advance(l, 3 * GROUP, NULL, NULL), REEL_OK);
    assert_int_equal(c.n, 3 * GROUP);
    assert_int_equal(reel_latents_count(l), 3 * GROUP);
    for (int64_t i = 0; i < reel_latents_count(l); i += 17) { /* the clip of that index, encoded */
        const reel_latent_clip clip = reel_latents_at(l, i);
        uint8_t rgb[16 * 16 * 5 * 3];
        reel_bf16 wanted[8];
        assert_int_equal(clip.index, i);
        assert_int_equal(reel_world_source_clip(env, &world, i, clip.size, rgb), REEL_OK);
        assert_int_equal(encode(&c, rgb, clip.size, wanted), REEL_OK);
        assert_memory_equal(clip.data, wanted, (size_t)(clip.f * clip.h * clip.w) * 2);
    }
    reel_latents_close(&l);
    c.fails = true; /* nothing is encoded a second time */
    l = open_latents(env, folder, "k", &c);
    assert_int_equal(reel_latents_advance(l, 3 * GROUP, NULL, NULL), REEL_OK);
    assert_int_equal(reel_latents_advance(l, 3 * GROUP + 1, NULL, NULL), REEL_E_NOMEM);
    assert_int_equal(reel_latents_count(l), 3 * GROUP); /* what there was stays */
    reel_latents_close(&l);
    remove_all(folder, 4);
    reel_env_free(&env);
}

static void test_latents_of_another_encoder_are_refused(void **state) {
    (void)state;
    char folder[] = "latents_test.XXXXXX";
    assert_non_null(mkdtemp(folder));
    reel_env *env;
    assert_int_equal(reel_env_new(NULL, &env), REEL_OK);
    counter c = {0};
    reel_latents *l = open_latents(env, folder, "one", &c);
    assert_int_equal(reel_latents_advance(l, 1, NULL, NULL), REEL_OK);
    reel_latents_close(&l);
    l = open_latents(env, folder, "two", &c);
    assert_int_equal(reel_latents_advance(l, 1, NULL, NULL), REEL_E_ARG);
    assert_non_null(strstr(reel_env_message(env), "was made by another encoder"));
    reel_latents_close(&l);
    remove_all(folder, 1);
    reel_env_free(&env);
}

static bool stop(void *context, int64_t first, int64_t n) {
    (void)context;
    assert_int_equal(n, GROUP);
    return first == GROUP;
}

static void test_latents_can_be_stopped_between_shards(void **state) {
    (void)state;
    char folder[] = "latents_test.XXXXXX";
    assert_non_null(mkdtemp(folder));
    reel_env *env;
    assert_int_equal(reel_env_new(NULL, &env), REEL_OK);
    counter c = {0};
    reel_latents *l = open_latents(env, folder, "k", &c);
    assert_int_equal(reel_latents_advance(l, 3 * GROUP, stop, NULL), REEL_E_CANCELLED);
    assert_int_equal(reel_latents_count(l), GROUP);
    reel_latents_close(&l);
    remove_all(folder, 1);
    reel_env_free(&env);
}

/* ---- the pool, on the same source ---- */

static void test_pool_holds_the_newest_whatever_the_way_there(void **state) {
    (void)state;
    reel_env *env;
    assert_int_equal(reel_env_new(NULL, &env), REEL_OK);
    const reel_source source = reel_source_of_world(&world);
    reel_pool *slow, *at_once;
    assert_int_equal(reel_pool_new(env, &source, buckets, 2, 4, &slow), REEL_OK);
    assert_int_equal(reel_pool_new(env, &source, buckets, 2, 4, &at_once), REEL_OK);
    for (int64_t n = 2; n <= 11; n += 3)
        assert_int_equal(reel_pool_advance(slow, n), REEL_OK);
    assert_int_equal(reel_pool_advance(at_once, 11), REEL_OK); /* a run that goes on */
    assert_int_equal(reel_pool_count(slow), 4);
    assert_int_equal(reel_pool_count(at_once), 4);
    for (int64_t i = 0; i < 4; i++) {
        const reel_pool_clip a = reel_pool_at(slow, i), b = reel_pool_at(at_once, i);
        assert_int_equal(a.index, 7 + i);
        assert_int_equal(b.index, 7 + i);
        assert_memory_equal(a.rgb, b.rgb, (size_t)reel_bucket_bytes(a.size));
    }
    reel_pool_free(&slow);
    reel_pool_free(&at_once);
    reel_env_free(&env);
}

static void test_pool_crop_cuts_and_mirrors(void **state) {
    (void)state;
    uint8_t rgb[2 * 3 * 4 * 3];
    for (int i = 0; i < 72; i++)
        rgb[i] = (uint8_t)i;
    const reel_bucket size = {4, 3, 2, 1};
    const reel_pool_clip clip = {.size = &size, .rgb = rgb};
    const reel_crop crop = {
        .frame = 1, .y = 1, .x = 1, .frames = 1, .height = 2, .width = 2, .mirror = true};
    float out[12];
    reel_pool_crop(&clip, &crop, out);
    const int first = ((1 * 3 + 1) * 4 + 2) * 3; /* the rightmost pixel comes first */
    for (int k = 0; k < 3; k++) {
        assert_true(out[k] == (float)(first + k) * (2.0f / 255.0f) - 1.0f);
        assert_true(out[3 + k] == (float)(first - 3 + k) * (2.0f / 255.0f) - 1.0f);
    }
}

/* ---- words ---- */

static void test_source_swaps_change_one_phrase(void **state) {
    (void)state;
    reel_env *env;
    assert_int_equal(reel_env_new(NULL, &env), REEL_OK);
    char a[REEL_SOURCE_CAPTION_BYTES], b[REEL_SOURCE_CAPTION_BYTES];
    int n_differ = 0;
    for (int64_t i = 0; i < 20; i++)
        for (int k = 0; k < reel_world_source_attributes(); k++) {
            bool differs;
            assert_int_equal(reel_world_source_swap(env, &world, i, &buckets[0], k, a, b, &differs),
                             REEL_OK);
            if (differs) assert_string_not_equal(a, b);
            n_differ += differs;
        }
    assert_true(n_differ > 100);
    reel_env_free(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_latents_are_made_once_and_found_again),
        cmocka_unit_test(test_latents_of_another_encoder_are_refused),
        cmocka_unit_test(test_latents_can_be_stopped_between_shards),
        cmocka_unit_test(test_pool_holds_the_newest_whatever_the_way_there),
        cmocka_unit_test(test_pool_crop_cuts_and_mirrors),
        cmocka_unit_test(test_source_swaps_change_one_phrase),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
