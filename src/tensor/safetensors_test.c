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
#include "base/rng.h"
#include "support/scratch.h"
#include "tensor/safetensors.h"

typedef struct place {
    reel_env *env;
    scratch folder;
    char path[128];
} place;

static int make_place(void **state) {
    place *p = calloc(1, sizeof *p);
    *state = p;
    reel_env_options options = reel_env_options_default();
    options.n_threads = 1;
    if (reel_env_new(&options, &p->env) != REEL_OK) return 1;
    scratch_make(&p->folder);
    snprintf(p->path, sizeof p->path, "%s/x.safetensors", p->folder.path);
    return 0;
}

static int free_place(void **state) {
    place *p = *state;
    unlink(p->path);
    const bool clean = scratch_give_back(&p->folder); /* no temporary was left behind */
    const bool leaks = p->env->allocator.bytes != 0;
    reel_env_free(&p->env);
    free(p);
    return !clean || leaks;
}

static void expect_file(place *p, const char *header, int64_t header_bytes, const void *data,
                        int64_t data_bytes) {
    reel_map map;
    assert_int_equal(reel_map_open(p->env, p->path, &map), REEL_OK);
    assert_int_equal(map.bytes, 8 + header_bytes + data_bytes);
    uint64_t length;
    memcpy(&length, map.data, 8);
    assert_int_equal(length, header_bytes);
    assert_memory_equal(map.data + 8, header, (size_t)header_bytes);
    if (data_bytes > 0) assert_memory_equal(map.data + 8 + header_bytes, data, (size_t)data_bytes);
    reel_map_close(&map);
}

/* The files the reference implementation's own tests hold it to, byte for byte: no tensor, metadata
 * only, and names whose length asks for padding and does not. */
static void test_write_gives_the_reference_bytes(void **state) {
    place *p = *state;
    assert_int_equal(reel_safetensors_write(p->env, p->path, NULL, 0, NULL, 0), REEL_OK);
    expect_file(p, "{}      ", 8, NULL, 0);
    const reel_metadata pair = {"framework", "pt"};
    assert_int_equal(reel_safetensors_write(p->env, p->path, NULL, 0, &pair, 1), REEL_OK);
    expect_file(p, "{\"__metadata__\":{\"framework\":\"pt\"}}     ", 40, NULL, 0);
    float data[6] = {0, 1, 2, 3, 4, 5};
    const reel_named_tensor attn = {
        "attn0", {.dtype = REEL_F32, .shape = REEL_SHAPE(1, 1, 2, 3), .data = data}};
    assert_int_equal(reel_safetensors_write(p->env, p->path, &attn, 1, NULL, 0), REEL_OK);
    expect_file(p,
                "{\"attn0\":{\"dtype\":\"F32\",\"shape\":[1,1,2,3],\"data_offsets\":[0,24]}}"
                "       ",
                72, data, sizeof data);
    const reel_named_tensor fits = {
        "attn.0", {.dtype = REEL_F32, .shape = REEL_SHAPE(1, 2, 3), .data = data}};
    assert_int_equal(reel_safetensors_write(p->env, p->path, &fits, 1, NULL, 0), REEL_OK);
    expect_file(p, "{\"attn.0\":{\"dtype\":\"F32\",\"shape\":[1,2,3],\"data_offsets\":[0,24]}}", 64,
                data, sizeof data);
}

static void test_write_orders_by_alignment_then_name(void **state) {
    place *p = *state;
    uint8_t u8[1] = {1};
    reel_bf16 bf16[1] = {2};
    reel_f16 f16[1] = {3};
    float f32[2] = {4, 5};
    int32_t i32[1] = {6};
    int64_t i64[1] = {7};
    const reel_named_tensor tensors[] = {
        {"a", {.dtype = REEL_U8, .shape = REEL_SHAPE(1), .data = u8}},
        {"b", {.dtype = REEL_BF16, .shape = REEL_SHAPE(1), .data = bf16}},
        {"c", {.dtype = REEL_F16, .shape = REEL_SHAPE(1), .data = f16}},
        {"e", {.dtype = REEL_F32, .shape = {0}, .data = f32 + 1}},
        {"d", {.dtype = REEL_F32, .shape = REEL_SHAPE(1), .data = f32}},
        {"f", {.dtype = REEL_I32, .shape = REEL_SHAPE(1), .data = i32}},
        {"g", {.dtype = REEL_I64, .shape = REEL_SHAPE(1), .data = i64}},
        {"h", {.dtype = REEL_F32, .shape = REEL_SHAPE(0, 3)}},
    };
    assert_int_equal(reel_safetensors_write(p->env, p->path, tensors, 8, NULL, 0), REEL_OK);
    reel_safetensors *file = NULL;
    assert_int_equal(reel_safetensors_open(p->env, p->path, &file), REEL_OK);
    static const struct {
        const char *name;
        int64_t offset;
    } wanted[] = {{"g", 0},  {"d", 8},  {"e", 12}, {"h", 16},
                  {"f", 16}, {"b", 20}, {"c", 22}, {"a", 24}};
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(reel_safetensors_find(file, wanted[i].name)->offset, wanted[i].offset);
    reel_tensor e;
    assert_int_equal(reel_safetensors_get(file, "e", &e), REEL_OK);
    assert_int_equal(e.shape.rank, 0);
    assert_true(*(const float *)e.data == 5.0f);
    reel_safetensors_close(&file);
}

static void test_read_uses_the_mapping_in_place(void **state) {
    place *p = *state;
    enum { N = 50 };
    float data[N][16];
    char name[N][16];
    reel_named_tensor tensors[N];
    reel_rng_fill_normal(1, 2, 0, sizeof data / sizeof(float), data[0]);
    for (int i = 0; i < N; i++) {
        snprintf(name[i], sizeof name[i], "block.%d", (i * 37) % N);
        tensors[i] = (reel_named_tensor){
            name[i], {.dtype = REEL_F32, .shape = REEL_SHAPE(4, 4), .data = data[i]}};
    }
    const reel_metadata pairs[] = {{"step", "100"}, {"prompt", "caf\xc3\xa9 \"x\"\n"}};
    assert_int_equal(reel_safetensors_write(p->env, p->path, tensors, N, pairs, 2), REEL_OK);
    reel_safetensors *file = NULL;
    assert_int_equal(reel_safetensors_open(p->env, p->path, &file), REEL_OK);
    assert_string_equal(reel_safetensors_name(file), p->path);
    assert_int_equal(reel_safetensors_count(file), N);
    for (int64_t i = 1; i < N; i++)
        assert_true(
            strcmp(reel_safetensors_at(file, i - 1)->name, reel_safetensors_at(file, i)->name) < 0);
    const int64_t held = p->env->allocator.bytes;
    for (int i = 0; i < N; i++) {
        reel_tensor t;
        assert_int_equal(reel_safetensors_get(file, name[i], &t), REEL_OK);
        assert_int_equal(t.dtype, REEL_F32);
        assert_true(reel_shape_equal(&t.shape, &tensors[i].tensor.shape));
        assert_memory_equal(t.data, data[i], sizeof data[i]);
        reel_safetensors_done(file, reel_safetensors_find(file, name[i]));
        assert_memory_equal(t.data, data[i], sizeof data[i]); /* read again from the file */
    }
    assert_int_equal(p->env->allocator.bytes, held); /* nothing was copied */
    assert_string_equal(reel_safetensors_metadata(file, "prompt"), "caf\xc3\xa9 \"x\"\n");
    assert_string_equal(reel_safetensors_metadata(file, "step"), "100");
    assert_null(reel_safetensors_metadata(file, "absent"));
    assert_int_equal(reel_safetensors_metadata_count(file), 2);
    assert_string_equal(reel_safetensors_metadata_at(file, 0)->key, "prompt"); /* sorted */
    reel_safetensors_close(&file);
    assert_null(file);
}

/* A file as writers before the padding rule made them: the data begins at an odd byte. */
static void test_read_copies_what_is_not_aligned(void **state) {
    place *p = *state;
    static const char header[] = "{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[1,9]},"
                                 "\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}";
    const uint64_t length = sizeof header - 1;
    static _Alignas(16) unsigned char bytes[8 + sizeof header + 8];
    const float w[2] = {1.5f, -2.5f};
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, sizeof header - 1);
    bytes[8 + length] = 200;
    memcpy(bytes + 8 + length + 1, w, sizeof w);
    reel_safetensors *file = NULL;
    assert_int_equal(reel_safetensors_parse(p->env, bytes, (int64_t)(8 + length + 9), "old", &file),
                     REEL_OK);
    const bool odd = (uintptr_t)(bytes + 8 + length + 1) % 4 != 0;
    assert_true(odd);
    reel_tensor t;
    reel_tensor again;
    reel_tensor b;
    assert_int_equal(reel_safetensors_get(file, "w", &t), REEL_OK);
    assert_int_equal((uintptr_t)t.data % 4, 0);
    assert_memory_equal(t.data, w, sizeof w);
    assert_int_equal(reel_safetensors_get(file, "w", &again), REEL_OK);
    assert_ptr_equal(again.data, t.data); /* one copy, kept */
    assert_int_equal(reel_safetensors_get(file, "b", &b), REEL_OK);
    assert_ptr_equal(b.data, bytes + 8 + length); /* bytes are always aligned */
    reel_safetensors_close(&file);
}

static void test_get_names_what_is_missing(void **state) {
    place *p = *state;
    assert_int_equal(reel_safetensors_write(p->env, p->path, NULL, 0, NULL, 0), REEL_OK);
    reel_safetensors *file = NULL;
    assert_int_equal(reel_safetensors_open(p->env, p->path, &file), REEL_OK);
    reel_tensor t;
    assert_int_equal(reel_safetensors_get(file, "blocks.0.w", &t), REEL_E_ARG);
    assert_non_null(strstr(reel_env_message(p->env), "has no tensor blocks.0.w"));
    assert_null(reel_safetensors_find(file, "blocks.0.w"));
    reel_safetensors_close(&file);
    reel_env_clear(p->env);
}

static void expect_refusal(place *p, reel_status status, reel_status wanted, const char *reason) {
    assert_int_equal(status, wanted);
    if (!strstr(reel_env_message(p->env), reason))
        fail_msg("wanted %s, got %s", reason, reel_env_message(p->env));
    assert_int_equal(p->env->allocator.bytes, 0);
    assert_int_not_equal(access(p->path, F_OK), 0); /* nothing was written */
    reel_env_clear(p->env);
}

static void test_write_refuses_what_cannot_be_read_back(void **state) {
    place *p = *state;
    float x[4] = {0};
    const reel_tensor t = {.dtype = REEL_F32, .shape = REEL_SHAPE(4), .data = x};
    const reel_tensor none = {.dtype = REEL_F32, .shape = REEL_SHAPE(4)};
    const reel_tensor negative = {.dtype = REEL_F32, .shape = REEL_SHAPE(-4), .data = x};
    const reel_named_tensor twice[] = {{"a", t}, {"b", t}, {"a", t}};
    const reel_named_tensor reserved = {"__metadata__", t};
    const reel_named_tensor unnamed = {NULL, t};
    const reel_named_tensor not_utf8 = {"\xff", t};
    const reel_named_tensor no_data = {"a", none};
    const reel_named_tensor bad_shape = {"a", negative};
    expect_refusal(p, reel_safetensors_write(p->env, p->path, twice, 3, NULL, 0), REEL_E_ARG,
                   "two tensors have the name a");
    expect_refusal(p, reel_safetensors_write(p->env, p->path, &reserved, 1, NULL, 0), REEL_E_ARG,
                   "the name __metadata__");
    expect_refusal(p, reel_safetensors_write(p->env, p->path, &unnamed, 1, NULL, 0), REEL_E_ARG,
                   "a tensor's name is NULL");
    expect_refusal(p, reel_safetensors_write(p->env, p->path, &not_utf8, 1, NULL, 0), REEL_E_ARG,
                   "not UTF-8");
    expect_refusal(p, reel_safetensors_write(p->env, p->path, &no_data, 1, NULL, 0), REEL_E_ARG,
                   "tensor a has no data");
    expect_refusal(p, reel_safetensors_write(p->env, p->path, &bad_shape, 1, NULL, 0), REEL_E_SHAPE,
                   "tensor a: shape [-4]: axis 0 is negative");
    const reel_tensor blocks = {.dtype = REEL_Q8_0, .shape = REEL_SHAPE(32), .data = x};
    const reel_named_tensor no_type = {"a", blocks};
    expect_refusal(p, reel_safetensors_write(p->env, p->path, &no_type, 1, NULL, 0),
                   REEL_E_UNSUPPORTED, "tensor a is q8_0");
    const reel_metadata same[] = {{"k", "1"}, {"k", "2"}};
    const reel_metadata missing = {"k", NULL};
    expect_refusal(p, reel_safetensors_write(p->env, p->path, NULL, 0, same, 2), REEL_E_ARG,
                   "two metadata pairs have the key k");
    expect_refusal(p, reel_safetensors_write(p->env, p->path, NULL, 0, &missing, 1), REEL_E_ARG,
                   "a metadata value is NULL");
}

static void test_open_reports_a_file_that_is_not_there(void **state) {
    place *p = *state;
    reel_safetensors *file = NULL;
    assert_int_equal(reel_safetensors_open(p->env, p->path, &file), REEL_E_IO);
    assert_null(file);
    expect_refusal(p, REEL_E_IO, REEL_E_IO, "cannot open: No such file");
}

/* What the writer writes, the reader reads, for random sets of shapes and types. */
static void test_written_files_read_back_the_same(void **state) {
    place *p = *state;
    static unsigned char data[1 << 16];
    for (uint64_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)reel_rng_below(3, 1, i, 256);
    for (uint64_t round = 0; round < 20; round++) {
        enum { MAX_TENSORS = 12 };
        char name[MAX_TENSORS][8];
        reel_named_tensor tensors[MAX_TENSORS];
        const int n = (int)reel_rng_below(4, round, 0, MAX_TENSORS + 1);
        for (int i = 0; i < n; i++) {
            const uint64_t at = (uint64_t)i * 16 + 16;
            reel_tensor *t = &tensors[i].tensor;
            snprintf(name[i], sizeof name[i], "t%d", i);
            tensors[i].name = name[i];
            t->dtype = (reel_dtype)reel_rng_below(4, round, at, REEL_DTYPE_COUNT);
            t->shape = (reel_shape){.rank = (int)reel_rng_below(4, round, at + 1, 7)};
            for (int d = 0; d < t->shape.rank; d++)
                t->shape.dim[d] = (int64_t)reel_rng_below(4, round, at + 2 + (uint64_t)d, 4);
            t->data = data + 64 * reel_rng_below(4, round, at + 9, 500);
        }
        assert_int_equal(reel_safetensors_write(p->env, p->path, tensors, n, NULL, 0), REEL_OK);
        reel_safetensors *file = NULL;
        assert_int_equal(reel_safetensors_open(p->env, p->path, &file), REEL_OK);
        assert_int_equal(reel_safetensors_count(file), n);
        for (int i = 0; i < n; i++) {
            reel_tensor t;
            assert_int_equal(reel_safetensors_get(file, name[i], &t), REEL_OK);
            assert_int_equal(t.dtype, tensors[i].tensor.dtype);
            assert_true(reel_shape_equal(&t.shape, &tensors[i].tensor.shape));
            if (reel_tensor_bytes(&t) > 0)
                assert_memory_equal(t.data, tensors[i].tensor.data, (size_t)reel_tensor_bytes(&t));
        }
        reel_safetensors_close(&file);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_place, free_place)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_write_gives_the_reference_bytes),
        TEST(test_write_orders_by_alignment_then_name),
        TEST(test_read_uses_the_mapping_in_place),
        TEST(test_read_copies_what_is_not_aligned),
        TEST(test_get_names_what_is_missing),
        TEST(test_write_refuses_what_cannot_be_read_back),
        TEST(test_open_reports_a_file_that_is_not_there),
        TEST(test_written_files_read_back_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
