/* Finding a model in a cache laid out as huggingface_hub does. */
#include "zoo/cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "support/op_check.h"
#include "support/scratch.h"

typedef struct rig {
    reel_env *env;
    scratch place;
    reel_arena arena;
    const char *path;
} rig;

static void make(rig *r) {
    *r = (rig){.env = op_test_env(1)};
    scratch_make(&r->place);
    reel_arena_init(&r->arena, r->env, 1 << 12, "test");
}

static void unmake(rig *r) {
    reel_arena_deinit(&r->arena);
    scratch_remove(&r->place);
    reel_env_free(&r->env);
}

static reel_status find(rig *r, const char *given) {
    reel_env_clear(r->env);
    return reel_cache_find(r->env, r->place.path, given, &r->arena, &r->path);
}

static void test_cache_finds_the_snapshot_of_main(void **state) {
    (void)state;
    rig r;
    make(&r);
    scratch_write(&r.place, "models--Wan-AI--Wan2.1-T2V-1.3B-Diffusers/refs/main", "0fad780a\n");
    scratch_write(&r.place,
                  "models--Wan-AI--Wan2.1-T2V-1.3B-Diffusers/snapshots/0fad780a/model_index.json",
                  "{}");
    if (find(&r, "Wan-AI/Wan2.1-T2V-1.3B-Diffusers") != REEL_OK)
        fail_msg("%s", reel_env_message(r.env));
    assert_string_equal(
        r.path, SCRATCH(&r.place, "models--Wan-AI--Wan2.1-T2V-1.3B-Diffusers/snapshots/0fad780a"));
    unmake(&r);
}

static void test_cache_prefers_a_folder_that_is_there(void **state) {
    (void)state;
    rig r;
    make(&r);
    scratch_write(&r.place, "here/model_index.json", "{}");
    const char *given = SCRATCH(&r.place, "here");
    assert_int_equal(find(&r, given), REEL_OK);
    assert_string_equal(r.path, given);
    unmake(&r);
}

static void test_cache_says_what_would_download(void **state) {
    (void)state;
    rig r;
    make(&r);
    assert_int_equal(find(&r, "Wan-AI/None"), REEL_E_IO);
    assert_non_null(strstr(reel_env_message(r.env), "huggingface-cli download Wan-AI/None"));
    scratch_write(&r.place, "models--Wan-AI--None/refs/main", "abc");
    assert_int_equal(find(&r, "Wan-AI/None"), REEL_E_IO); /* the snapshot is gone */
    assert_non_null(strstr(reel_env_message(r.env), "huggingface-cli download Wan-AI/None"));
    assert_int_equal(reel_cache_find(r.env, NULL, "Wan-AI/None", &r.arena, &r.path), REEL_E_IO);
    unmake(&r);
}

static void test_cache_never_leaves_its_folder(void **state) {
    (void)state;
    static const char *const not [] = {"../x",  "a/..",   "a/b/c", "/a",   "a/",   "a b/c",
                                       "plain", "a--b/c", ".a/b",  "a/.b", "-a/b", ""};
    rig r;
    make(&r);
    for (size_t i = 0; i < sizeof not / sizeof *not ; i++)
        assert_false(reel_is_repository(not [i]));
    assert_true(reel_is_repository("Wan-AI/Wan2.1_x"));
    assert_int_equal(find(&r, "../nowhere"), REEL_E_IO);
    scratch_write(&r.place, "models--a--b/refs/main", "../../../etc");
    assert_int_equal(find(&r, "a/b"), REEL_E_FORMAT);
    assert_non_null(strstr(reel_env_message(r.env), "refs/main"));
    unmake(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cache_finds_the_snapshot_of_main),
        cmocka_unit_test(test_cache_prefers_a_folder_that_is_there),
        cmocka_unit_test(test_cache_says_what_would_download),
        cmocka_unit_test(test_cache_never_leaves_its_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
