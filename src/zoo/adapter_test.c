#include "zoo/adapter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/scratch.h"
#include "tensor/safetensors.h"

enum { O = 2, I = 3 };
#define WEIGHT "blocks.0.attn1.to_q.weight"
static const float start[O * I] = {1, 2, 3, 4, 5, 6};
/* A [1,3] and B [2,1]: B A = (10 20 30; 100 200 300) */
static const float a_data[I] = {1, 2, 3}, b_data[O] = {10, 100};

typedef struct fixture {
    reel_env *env;
    scratch place;
    char path[200];
    float weight[O * I]; /* as if in a mapped file */
    reel_bf16 narrow[O * I];
    reel_component part;
} fixture;

static int open_fixture(void **state) {
    static fixture f;
    f = (fixture){0};
    if (reel_env_new(NULL, &f.env) != REEL_OK) return 1;
    scratch_make(&f.place);
    scratch_path(&f.place, "a.safetensors", f.path);
    memcpy(f.weight, start, sizeof start);
    reel_dtype_cast(REEL_BF16, f.narrow, REEL_F32, start, O * I);
    f.part = (reel_component){.env = f.env, .config.kind = REEL_COMPONENT_TRANSFORMER};
    *state = &f;
    return reel_params_new(f.env, &f.part.params) != REEL_OK;
}

static int close_fixture(void **state) {
    fixture *f = *state;
    reel_params_free(&f->part.params);
    const bool leaks = f->env->allocator.bytes != 0;
    reel_env_free(&f->env);
    scratch_remove(&f->place);
    return leaks;
}

static void set_weight(fixture *f, reel_dtype dtype) {
    void *data = dtype == REEL_F32 ? (void *)f->weight : (void *)f->narrow;
    assert_int_equal(reel_params_set(f->part.params, WEIGHT, dtype, REEL_SHAPE(O, I), data),
                     REEL_OK);
}

static void write_file(fixture *f, const reel_named_tensor *tensor, int n, const char *metadata) {
    const reel_metadata pair = {"lora_adapter_metadata", metadata};
    assert_int_equal(reel_safetensors_write(f->env, f->path, tensor, n, &pair, metadata ? 1 : 0),
                     REEL_OK);
}

static reel_tensor tensor_of(const float *data, reel_shape shape) {
    reel_tensor t = {REEL_F32, shape, NULL};
    memcpy(&t.data, &data, sizeof data);
    return t;
}

static void write_pair(fixture *f, const char *a, const char *b) {
    const reel_named_tensor pair[] = {{a, tensor_of(a_data, REEL_SHAPE(1, I))},
                                      {b, tensor_of(b_data, REEL_SHAPE(O, 1))}};
    write_file(f, pair, 2, NULL);
}

/* Applies the file at a scale: the weight must become start + factor B A. */
static void expect_change(fixture *f, double scale, float factor) {
    reel_adapter *adapter;
    assert_int_equal(reel_adapter_open(f->env, f->path, &f->part, &adapter), REEL_OK);
    assert_int_equal(reel_adapter_count(adapter), 1);
    assert_int_equal(reel_adapter_apply(adapter, scale, &f->part), REEL_OK);
    reel_adapter_close(&adapter);
    const reel_param *p = reel_params_find(f->part.params, WEIGHT);
    float now[O * I];
    reel_dtype_cast(REEL_F32, now, p->dtype, p->data, O * I);
    for (int o = 0; o < O; o++)
        for (int i = 0; i < I; i++) {
            const float want = start[o * I + i] + factor * b_data[o] * a_data[i];
            if (now[o * I + i] != want)
                fail_msg("%d,%d: got %g, wanted %g", o, i, (double)now[o * I + i], (double)want);
        }
    assert_true(p->owned); /* what lay in the file is as it was */
    assert_memory_equal(f->weight, start, sizeof start);
}

static void test_adapter_adds_its_product(void **state) {
    fixture *f = *state;
    set_weight(f, REEL_F32);
    write_pair(f, "transformer.blocks.0.attn1.to_q.lora_A.weight",
               "transformer.blocks.0.attn1.to_q.lora_B.weight");
    expect_change(f, 0.5, 0.5f);
}

static void test_adapter_keeps_the_type_of_weights(void **state) {
    fixture *f = *state;
    set_weight(f, REEL_BF16);
    write_pair(f, "blocks.0.attn1.to_q.lora_A.weight", "blocks.0.attn1.to_q.lora_B.weight");
    expect_change(f, 0, 0);
    assert_int_equal(reel_params_find(f->part.params, WEIGHT)->dtype, REEL_BF16);
}

static void test_adapter_in_the_original_names_has_an_alpha(void **state) {
    fixture *f = *state;
    const float alpha = 4;
    set_weight(f, REEL_F32);
    const reel_named_tensor all[] = {
        {"diffusion_model.blocks.0.self_attn.q.alpha", tensor_of(&alpha, (reel_shape){0})},
        {"diffusion_model.blocks.0.self_attn.q.lora_down.weight",
         tensor_of(a_data, REEL_SHAPE(1, I))},
        {"diffusion_model.blocks.0.self_attn.q.lora_up.weight",
         tensor_of(b_data, REEL_SHAPE(O, 1))}};
    write_file(f, all, 3, NULL);
    expect_change(f, 1, 4);
}

static void test_adapter_that_is_written_is_read_back(void **state) {
    fixture *f = *state;
    set_weight(f, REEL_F32);
    const reel_adapter_pair pair = {"blocks.0.attn1.to_q", tensor_of(a_data, REEL_SHAPE(1, I)),
                                    tensor_of(b_data, REEL_SHAPE(O, 1))};
    assert_int_equal(
        reel_adapter_write(f->env, f->path, &pair, 1, &(reel_adapter_about){1, 2, NULL}), REEL_OK);
    reel_safetensors *file;
    assert_int_equal(reel_safetensors_open(f->env, f->path, &file), REEL_OK);
    assert_non_null(reel_safetensors_find(file, "transformer.blocks.0.attn1.to_q.lora_A.weight"));
    assert_string_equal(reel_safetensors_metadata(file, "lora_adapter_metadata"),
                        "{\"transformer.peft_type\":\"LORA\",\"transformer.r\":1,"
                        "\"transformer.lora_alpha\":2.0,\"transformer.target_modules\":"
                        "[\"blocks.0.attn1.to_q\"]}");
    reel_safetensors_close(&file);
    expect_change(f, 1, 2);
}

static void test_adapter_says_what_its_model_predicts(void **state) {
    fixture *f = *state;
    set_weight(f, REEL_F32);
    const reel_adapter_pair pair = {"blocks.0.attn1.to_q", tensor_of(a_data, REEL_SHAPE(1, I)),
                                    tensor_of(b_data, REEL_SHAPE(O, 1))};
    for (int k = 0; k < 2; k++) {
        const reel_adapter_about about = {1, 1, k ? "sample" : NULL};
        reel_adapter *adapter;
        assert_int_equal(reel_adapter_write(f->env, f->path, &pair, 1, &about), REEL_OK);
        assert_int_equal(reel_adapter_open(f->env, f->path, &f->part, &adapter), REEL_OK);
        if (k)
            assert_string_equal(reel_adapter_prediction(adapter), "sample");
        else
            assert_null(reel_adapter_prediction(adapter));
        reel_adapter_close(&adapter);
    }
}

static void test_adapter_hash_knows_its_contents(void **state) {
    fixture *f = *state;
    uint64_t hash[2];
    set_weight(f, REEL_F32);
    for (int k = 0; k < 2; k++) {
        const float other[O] = {10, 100 + (float)k};
        const reel_adapter_pair pair = {"blocks.0.attn1.to_q", tensor_of(a_data, REEL_SHAPE(1, I)),
                                        tensor_of(other, REEL_SHAPE(O, 1))};
        reel_adapter *adapter;
        assert_int_equal(
            reel_adapter_write(f->env, f->path, &pair, 1, &(reel_adapter_about){1, 1, NULL}),
            REEL_OK);
        assert_int_equal(reel_adapter_open(f->env, f->path, &f->part, &adapter), REEL_OK);
        hash[k] = reel_adapter_hash(adapter);
        reel_adapter_close(&adapter);
    }
    assert_true(hash[0] != hash[1]);
}

static void expect_refused(fixture *f, reel_status status, const char *said) {
    reel_adapter *adapter = NULL;
    assert_int_equal(reel_adapter_open(f->env, f->path, &f->part, &adapter), status);
    assert_null(adapter);
    if (!strstr(reel_env_message(f->env), said))
        fail_msg("'%s' lacks '%s'", reel_env_message(f->env), said);
    reel_env_clear(f->env);
}

static void test_adapter_refuses_what_does_not_fit(void **state) {
    fixture *f = *state;
    set_weight(f, REEL_F32);
    write_pair(f, "blocks.0.attn1.to_q.lora_A.weight", "blocks.0.attn1.to_k.lora_B.weight");
    expect_refused(f, REEL_E_FORMAT, "this model has no such weight");
    write_pair(f, "blocks.0.attn1.to_q.lora_A.weight", "blocks.0.attn1.to_q.diff");
    expect_refused(f, REEL_E_UNSUPPORTED, "is no part of a low-rank pair");
    write_pair(f, "blocks.0.attn1.to_q.lora_B.weight", "blocks.0.attn1.to_q.lora_A.weight");
    expect_refused(f, REEL_E_SHAPE, "A [2,1] and B [1,3] do not make a change of a weight [2,3]");
    write_pair(f, "blocks.0.attn1.to_q.lora_A.weight",
               "transformer.blocks.0.attn1.to_q.lora_A.weight");
    expect_refused(f, REEL_E_FORMAT, "is there twice");
    const reel_named_tensor half = {"blocks.0.attn1.to_q.lora_A.weight",
                                    tensor_of(a_data, REEL_SHAPE(1, I))};
    write_file(f, &half, 1, NULL);
    expect_refused(f, REEL_E_FORMAT, "has A and no B");
    write_file(f, &half, 1, "{\"lora_alpha\":\"big\"}");
    expect_refused(f, REEL_E_FORMAT, "lora_alpha: wanted");
    write_file(f, &half, 0, NULL);
    expect_refused(f, REEL_E_FORMAT, "holds nothing");
    scratch_write(&f->place, "a.safetensors", "text");
    expect_refused(f, REEL_E_FORMAT, "a.safetensors");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)
    const struct CMUnitTest tests[] = {
        TEST(test_adapter_adds_its_product),
        TEST(test_adapter_keeps_the_type_of_weights),
        TEST(test_adapter_in_the_original_names_has_an_alpha),
        TEST(test_adapter_that_is_written_is_read_back),
        TEST(test_adapter_says_what_its_model_predicts),
        TEST(test_adapter_hash_knows_its_contents),
        TEST(test_adapter_refuses_what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
