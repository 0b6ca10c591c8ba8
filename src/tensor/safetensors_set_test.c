#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "support/scratch.h"
#include "tensor/safetensors_set.h"

/* A folder with two shards, {a, b} and {c}, and room for an index. */
typedef struct place {
    reel_env *env;
    scratch folder;
    char shard[2][160];
    char index[160];
    char warning[512];
} place;

static float data[6] = {1, 2, 3, 4, 5, 6};

static void hear(void *context, reel_log_level level, const char *text) {
    place *p = context;
    if (level == REEL_LOG_WARN) snprintf(p->warning, sizeof p->warning, "%s", text);
}

static int make_place(void **state) {
    place *p = calloc(1, sizeof *p);
    *state = p;
    reel_env_options options = reel_env_options_default();
    options.n_threads = 1;
    options.log = hear;
    options.log_context = p;
    if (reel_env_new(&options, &p->env) != REEL_OK) return 1;
    scratch_make(&p->folder);
    for (int i = 0; i < 2; i++)
        snprintf(p->shard[i], sizeof p->shard[i], "%s/m-%d.safetensors", p->folder.path, i + 1);
    snprintf(p->index, sizeof p->index, "%s/m.safetensors.index.json", p->folder.path);
    const reel_named_tensor first[] = {
        {"a", {.dtype = REEL_F32, .shape = REEL_SHAPE(1), .data = data}},
        {"b", {.dtype = REEL_F32, .shape = REEL_SHAPE(2), .data = data + 1}}};
    const reel_named_tensor second = {
        "c", {.dtype = REEL_F32, .shape = REEL_SHAPE(3), .data = data + 3}};
    return reel_safetensors_write(p->env, p->shard[0], first, 2, NULL, 0) != REEL_OK ||
           reel_safetensors_write(p->env, p->shard[1], &second, 1, NULL, 0) != REEL_OK;
}

static int free_place(void **state) {
    place *p = *state;
    unlink(p->shard[0]);
    unlink(p->shard[1]);
    unlink(p->index);
    const bool clean = scratch_give_back(&p->folder); /* no temporary was left behind */
    const bool leaks = p->env->allocator.bytes != 0;
    reel_env_free(&p->env);
    free(p);
    return !clean || leaks;
}

static reel_status open_index(place *p, const char *text, reel_safetensors_set **set) {
    assert_int_equal(reel_file_write(p->env, p->index, text, (int64_t)strlen(text)), REEL_OK);
    return reel_safetensors_set_open(p->env, p->index, set);
}

#define GOOD_MAP                                                                                   \
    "\"weight_map\":{\"c\":\"m-2.safetensors\",\"a\":\"m-1.safetensors\",\"b\":\"m-1."             \
    "safetensors\"}"

static void test_set_finds_tensors_across_shards(void **state) {
    place *p = *state;
    reel_safetensors_set *set = NULL;
    assert_int_equal(open_index(p, "{\"metadata\":{\"total_size\":24}," GOOD_MAP "}", &set),
                     REEL_OK);
    assert_string_equal(p->warning, "");
    assert_int_equal(reel_safetensors_set_count(set), 3);
    assert_int_equal(reel_safetensors_set_shards(set), 2);
    static const char *const name[] = {"a", "b", "c"};
    int64_t first = 0;
    for (int i = 0; i < 3; i++) {
        reel_tensor t;
        assert_string_equal(reel_safetensors_set_at(set, i)->name, name[i]);
        assert_int_equal(reel_safetensors_set_get(set, name[i], &t), REEL_OK);
        assert_int_equal(reel_tensor_count(&t), i + 1);
        assert_memory_equal(t.data, data + first, (size_t)reel_tensor_bytes(&t));
        reel_safetensors_set_done(set, name[i]);
        first += reel_tensor_count(&t);
    }
    assert_null(reel_safetensors_set_find(set, "d"));
    assert_int_equal(reel_safetensors_count(reel_safetensors_set_shard(set, 0)), 1);
    reel_tensor t;
    assert_int_equal(reel_safetensors_set_get(set, "d", &t), REEL_E_ARG);
    assert_non_null(strstr(reel_env_message(p->env), "has no tensor d"));
    reel_safetensors_set_close(&set);
    assert_null(set);
}

static void test_set_of_one_file(void **state) {
    place *p = *state;
    reel_safetensors_set *set = NULL;
    assert_int_equal(reel_safetensors_set_open(p->env, p->shard[0], &set), REEL_OK);
    assert_int_equal(reel_safetensors_set_count(set), 2);
    reel_tensor t;
    assert_int_equal(reel_safetensors_set_get(set, "b", &t), REEL_OK);
    assert_memory_equal(t.data, data + 1, 8);
    reel_safetensors_set_close(&set);
}

static void test_set_warns_of_a_wrong_total(void **state) {
    place *p = *state;
    reel_safetensors_set *set = NULL;
    assert_int_equal(open_index(p, "{\"metadata\":{\"total_size\":25.0}," GOOD_MAP "}", &set),
                     REEL_OK);
    assert_non_null(strstr(p->warning, "total_size is 25, the tensors have 24"));
    reel_safetensors_set_close(&set);
}

static void test_set_refusals_name_the_reason(void **state) {
    place *p = *state;
    static const struct {
        const char *text;
        reel_status status;
        const char *reason;
    } bad[] = {
        {"{\"weight_map\":{\"a\":\"m-1.safetensors\",\"b\":\"m-1.safetensors\",\"d\":"
         "\"m-2.safetensors\",\"c\":\"m-2.safetensors\"}}",
         REEL_E_FORMAT, "tensor d is not in m-2.safetensors"},
        {"{\"weight_map\":{\"a\":\"m-1.safetensors\",\"c\":\"m-2.safetensors\"}}", REEL_E_FORMAT,
         "m-1.safetensors has tensor b, which the index does not name"},
        {"{\"weight_map\":{\"a\":\"m-2.safetensors\",\"b\":\"m-1.safetensors\",\"c\":"
         "\"m-2.safetensors\"}}",
         REEL_E_FORMAT, "tensor a is not in m-2.safetensors"},
        {"{\"weight_map\":{\"a\":\"m-3.safetensors\"}}", REEL_E_IO,
         "m-3.safetensors: cannot open: No such file"},
        {"{\"weight_map\":{\"a\":\"../m-1.safetensors\"}}", REEL_E_FORMAT,
         "weight_map.a: wanted the name of a file in the index's folder, got "
         "\"../m-1.safetensors\""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        reel_safetensors_set *set = NULL;
        assert_int_equal(open_index(p, bad[i].text, &set), bad[i].status);
        assert_null(set);
        if (!strstr(reel_env_message(p->env), bad[i].reason))
            fail_msg("wanted %s, got %s", bad[i].reason, reel_env_message(p->env));
        assert_int_equal(p->env->allocator.bytes, 0);
        reel_env_clear(p->env);
    }
}

/* The same tensor in two shards: the index can put it in one only. */
static void test_set_refuses_a_tensor_in_two_shards(void **state) {
    place *p = *state;
    const reel_named_tensor both[] = {
        {"a", {.dtype = REEL_F32, .shape = REEL_SHAPE(1), .data = data}},
        {"c", {.dtype = REEL_F32, .shape = REEL_SHAPE(3), .data = data + 3}}};
    assert_int_equal(reel_safetensors_write(p->env, p->shard[1], both, 2, NULL, 0), REEL_OK);
    reel_safetensors_set *set = NULL;
    assert_int_equal(open_index(p, "{" GOOD_MAP "}", &set), REEL_E_FORMAT);
    assert_non_null(strstr(reel_env_message(p->env),
                           "m-2.safetensors has tensor a, which the index puts elsewhere"));
}

static void test_set_reports_a_broken_shard(void **state) {
    place *p = *state;
    assert_int_equal(reel_file_write(p->env, p->shard[1], "short", 5), REEL_OK);
    reel_safetensors_set *set = NULL;
    assert_int_equal(open_index(p, "{" GOOD_MAP "}", &set), REEL_E_FORMAT);
    assert_non_null(strstr(reel_env_message(p->env), "m-2.safetensors: 5 bytes"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_place, free_place)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_set_finds_tensors_across_shards),    TEST(test_set_of_one_file),
        TEST(test_set_warns_of_a_wrong_total),         TEST(test_set_refusals_name_the_reason),
        TEST(test_set_refuses_a_tensor_in_two_shards), TEST(test_set_reports_a_broken_shard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
