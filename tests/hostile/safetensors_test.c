/* Every hostile file is refused with its status and its reason, and leaves nothing behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "safetensors.h"
#include "tensor/safetensors.h"
#include "tensor/safetensors_set.h"

static int make_env(void **state) {
    reel_env_options options = reel_env_options_default();
    options.n_threads = 1;
    return reel_env_new(&options, (reel_env **)state) != REEL_OK;
}

static int free_env(void **state) {
    reel_env_free((reel_env **)state);
    return 0;
}

/* Counts a case that did not go as its row says, and tells which. */
static int judge(reel_env *env, const hostile_case *c, reel_status status) {
    const char *message = reel_env_message(env);
    int wrong = 0;
    if (status != c->status || (c->status == REEL_OK) != (message[0] == '\0') ||
        !strstr(message, c->reason) || env->allocator.bytes != 0) {
        print_error("%s: wanted %s, %s; got %s, %s; %lld bytes held\n", c->name,
                    reel_status_name(c->status), c->reason, reel_status_name(status), message,
                    (long long)env->allocator.bytes);
        wrong = 1;
    }
    if (strlen(message) > 400) {
        print_error("%s: a message of %zu characters\n", c->name, strlen(message));
        wrong = 1;
    }
    reel_env_clear(env);
    return wrong;
}

static void test_safetensors_hostile_files_are_refused_by_name(void **state) {
    reel_env *env = *state;
    int n_hostile = 0;
    int n_wrong = 0;
    for (int i = 0; i < n_hostile_safetensors; i++) {
        const hostile_case *c = &hostile_safetensors[i];
        int64_t bytes = 0;
        unsigned char *data = hostile_safetensors_make(c, &bytes);
        assert_non_null(data);
        reel_safetensors *file = NULL;
        const reel_status status = reel_safetensors_parse(env, data, bytes, "hostile", &file);
        if (status != REEL_OK) assert_null(file);
        reel_safetensors_close(&file);
        n_wrong += judge(env, c, status);
        n_hostile += c->status != REEL_OK;
        free(data);
    }
    assert_int_equal(n_wrong, 0);
    assert_true(n_hostile >= 100);
}

static void test_index_hostile_files_are_refused_by_name(void **state) {
    reel_env *env = *state;
    int n_wrong = 0;
    for (int i = 0; i < n_hostile_indices; i++) {
        const hostile_case *c = &hostile_indices[i];
        /* As a safetensors header it has the 8 bytes in front that an index has not. */
        int64_t bytes = 0;
        unsigned char *data = hostile_safetensors_make(c, &bytes);
        assert_non_null(data);
        reel_shard_index index = {0};
        const reel_status status = reel_shard_index_parse(env, (const char *)data + 8, bytes - 8,
                                                          "hostile.index.json", &index);
        reel_shard_index_deinit(&index);
        n_wrong += judge(env, c, status);
        free(data);
    }
    assert_int_equal(n_wrong, 0);
}

/* A good file cut at every byte, and lengthened by one: never opens, never reads past its end. */
static void test_safetensors_cut_anywhere_is_refused(void **state) {
    reel_env *env = *state;
    for (int i = 0; i < n_hostile_safetensors; i++) {
        const hostile_case *c = &hostile_safetensors[i];
        if (c->status != REEL_OK) continue;
        int64_t bytes = 0;
        unsigned char *data = hostile_safetensors_make(c, &bytes);
        assert_non_null(data);
        for (int64_t cut = 0; cut <= bytes + 1; cut++) {
            if (cut == bytes) continue;
            unsigned char *part = calloc(1, (size_t)(cut ? cut : 1));
            assert_non_null(part);
            memcpy(part, data, (size_t)(cut < bytes ? cut : bytes));
            reel_safetensors *file = NULL;
            assert_int_equal(reel_safetensors_parse(env, part, cut, "cut", &file), REEL_E_FORMAT);
            assert_null(file);
            reel_env_clear(env);
            free(part);
        }
        free(data);
    }
    assert_int_equal(env->allocator.bytes, 0);
}

static void test_hostile_names_are_distinct(void **state) {
    (void)state;
    for (int i = 0; i < n_hostile_safetensors; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(hostile_safetensors[i].name, hostile_safetensors[j].name);
}

/* With a folder as argument: writes the safetensors files there, as seeds for a fuzzer. */
static int write_files(const char *folder) {
    for (int i = 0; i < n_hostile_safetensors; i++) {
        char path[4096];
        int64_t bytes = 0;
        unsigned char *data = hostile_safetensors_make(&hostile_safetensors[i], &bytes);
        snprintf(path, sizeof path, "%s/%03d.safetensors", folder, i);
        FILE *file = data ? fopen(path, "wb") : NULL;
        const bool written = file && fwrite(data, 1, (size_t)bytes, file) == (size_t)bytes;
        free(data);
        if (!file || fclose(file) != 0 || !written) return 1;
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 2) return write_files(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_safetensors_hostile_files_are_refused_by_name),
        cmocka_unit_test(test_index_hostile_files_are_refused_by_name),
        cmocka_unit_test(test_safetensors_cut_anywhere_is_refused),
        cmocka_unit_test(test_hostile_names_are_distinct),
    };
    return cmocka_run_group_tests(tests, make_env, free_env);
}
