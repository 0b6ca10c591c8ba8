/* Folders written by reel: opened again, equal to what was to be written, whole or not at all. */
#include "zoo/create.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dirent.h>
#include <string.h>
#include <unistd.h>

#include "base/path.h"
#include "support/op_check.h"
#include "support/scratch.h"
#include "zoo/save.h"

typedef struct rig {
    reel_env *env;
    scratch place;
    reel_blueprint blueprint;
} rig;

static void make(rig *r, const char *preset) {
    *r = (rig){.env = op_test_env(2)};
    scratch_make(&r->place);
    assert_int_equal(reel_blueprint_preset(r->env, preset, &r->blueprint), REEL_OK);
}

static void unmake(rig *r) {
    scratch_remove(&r->place);
    assert_int_equal(r->env->allocator.bytes, 0);
    reel_env_free(&r->env);
}

static void create(rig *r, const char *path, reel_dtype dtype, int64_t shard_bytes) {
    const reel_create_options options = {.dtype = dtype, .seed = 7, .shard_bytes = shard_bytes};
    if (reel_folder_create(r->env, path, &r->blueprint, &options) != REEL_OK)
        fail_msg("%s", reel_env_message(r->env));
}

/* Every parameter of a part is what initialising a store with the same seed gives. */
static void expect_random(rig *r, const reel_folder *folder, reel_component_kind kind,
                          reel_dtype dtype) {
    reel_component *c;
    reel_params *want;
    if (reel_folder_component(folder, kind, REEL_WEIGHTS_STORED, &c) != REEL_OK)
        fail_msg("%s", reel_env_message(r->env));
    assert_int_equal(reel_params_new(r->env, &want), REEL_OK);
    assert_int_equal(reel_component_declare(r->env, &c->config, dtype, want), REEL_OK);
    /* two transformers of one model differ */
    assert_int_equal(reel_params_initialise(want, 7 + (kind == REEL_COMPONENT_TRANSFORMER_2)),
                     REEL_OK);
    assert_int_equal(reel_params_count(c->params), reel_params_count(want));
    for (int i = 0; i < reel_params_count(want); i++) {
        const reel_param *w = reel_params_at(want, i);
        const reel_param *got = reel_params_find(c->params, w->name);
        assert_int_equal(got->dtype, dtype);
        assert_memory_equal(got->data, w->data,
                            reel_shape_count(&w->shape) * reel_dtype_bytes(dtype));
    }
    reel_params_free(&want);
    reel_component_close(&c);
}

/* Converting on the way in, in pieces, is converting. */
static void expect_converted(const reel_folder *folder, reel_component_kind kind) {
    reel_component *stored, *narrow;
    assert_int_equal(reel_folder_component(folder, kind, REEL_WEIGHTS_F32, &stored), REEL_OK);
    assert_int_equal(reel_folder_component(folder, kind, REEL_WEIGHTS_BF16, &narrow), REEL_OK);
    for (int i = 0; i < reel_params_count(stored->params); i++) {
        const reel_param *from = reel_params_at(stored->params, i);
        const reel_param *to = reel_params_find(narrow->params, from->name);
        int64_t n_wrong = 0;
        for (int64_t k = 0; k < reel_shape_count(&from->shape); k++)
            n_wrong += reel_f32_to_bf16(reel_dtype_load(REEL_F32, from->data, k)) !=
                       ((const reel_bf16 *)to->data)[k];
        assert_int_equal(n_wrong, 0);
    }
    reel_component_close(&stored);
    reel_component_close(&narrow);
}

static void expect_folder(rig *r, const char *path, reel_dtype dtype) {
    reel_folder *folder;
    if (reel_folder_open(r->env, path, &folder) != REEL_OK)
        fail_msg("%s", reel_env_message(r->env));
    for (int kind = 0; kind < REEL_COMPONENT_COUNT; kind++) {
        const reel_component_config *c = reel_folder_config(folder, (reel_component_kind)kind);
        assert_int_equal(c != NULL, r->blueprint.has[kind]);
        if (c) expect_random(r, folder, (reel_component_kind)kind, dtype);
        if (c && dtype == REEL_F32) expect_converted(folder, (reel_component_kind)kind);
    }
    assert_true(reel_folder_scheduler(folder)->shift == r->blueprint.scheduler.shift);
    assert_string_equal(reel_folder_scheduler(folder)->sampler, "unipc");
    assert_int_equal(reel_folder_index(folder)->expand_timesteps,
                     r->blueprint.index.expand_timesteps);
    assert_true(reel_folder_index(folder)->boundary_ratio == r->blueprint.index.boundary_ratio);
    assert_string_equal(reel_folder_index(folder)->pipeline, r->blueprint.index.pipeline);
    reel_folder_close(&folder);
}

static void test_create_tiny_models_open_again(void **state) {
    (void)state;
    static const char *const preset[] = {"wan-tiny", "wan-tiny-ti2v", "wan-tiny-i2v",
                                         "wan-tiny-i2v-pair"};
    for (int i = 0; i < 8; i++) {
        const reel_dtype dtype = i & 1 ? REEL_BF16 : REEL_F32;
        rig r;
        make(&r, preset[i / 2]);
        /* a table that is more than one piece for who writes and who converts */
        r.blueprint.config[REEL_COMPONENT_TEXT_ENCODER].text_encoder.vocab_size = 12000;
        const char *path = SCRATCH(&r.place, "model");
        create(&r, path, dtype, 0);
        expect_folder(&r, path, dtype);
        unmake(&r);
    }
}

static void test_create_cuts_into_shards(void **state) {
    (void)state;
    rig r;
    make(&r, "wan-tiny");
    const char *path = SCRATCH(&r.place, "model");
    create(&r, path, REEL_F32, 50000);
    assert_int_equal(
        reel_path_look(SCRATCH(
            &r.place, "model/transformer/diffusion_pytorch_model-00001-of-00002.safetensors")),
        REEL_PATH_FILE);
    assert_int_equal(
        reel_path_look(SCRATCH(&r.place, "model/text_encoder/model.safetensors.index.json")),
        REEL_PATH_FILE);
    expect_folder(&r, path, REEL_F32);
    unmake(&r);
}

static void test_create_configs_read_back_as_they_were(void **state) {
    (void)state;
    for (const char *const *name = reel_presets(); *name; name++) {
        rig r;
        make(&r, *name);
        for (int kind = 0; kind < REEL_COMPONENT_COUNT; kind++) {
            reel_json_out out;
            const char *text;
            int64_t bytes;
            reel_json_doc *doc;
            reel_component_config got;
            if (!r.blueprint.has[kind]) continue;
            reel_json_out_init(&out, r.env);
            reel_component_config_write(&out, &r.blueprint.config[kind], REEL_BF16);
            assert_int_equal(reel_json_out_text(&out, &text, &bytes), REEL_OK);
            assert_int_equal(reel_json_parse(r.env, text, bytes, "written", &doc), REEL_OK);
            const reel_json root = reel_json_root(doc);
            if (reel_component_config_read(&root, (reel_component_kind)kind, &got) != REEL_OK)
                fail_msg("%s", reel_env_message(r.env));
            /* What was read writes the same text: every field, and no padding. */
            reel_json_out again;
            const char *same;
            reel_json_out_init(&again, r.env);
            reel_component_config_write(&again, &got, REEL_BF16);
            assert_int_equal(reel_json_out_text(&again, &same, &bytes), REEL_OK);
            assert_string_equal(same, text);
            reel_json_out_deinit(&again);
            if (kind == REEL_COMPONENT_VAE) {
                assert_int_equal(got.vae.z_dim, r.blueprint.config[kind].vae.z_dim);
                assert_memory_equal(got.vae.latents_mean, r.blueprint.config[kind].vae.latents_mean,
                                    (size_t)got.vae.z_dim * sizeof(float));
                assert_memory_equal(got.vae.dim_mult, r.blueprint.config[kind].vae.dim_mult,
                                    sizeof got.vae.dim_mult);
                assert_int_equal(got.vae.patch_size, r.blueprint.config[kind].vae.patch_size);
                assert_int_equal(got.vae.is_residual, r.blueprint.config[kind].vae.is_residual);
            }
            reel_json_free(&doc);
            reel_json_out_deinit(&out);
        }
        unmake(&r);
    }
}

static int entries(const char *path) {
    DIR *folder = opendir(path);
    assert_non_null(folder);
    int n = -2; /* . and .. */
    while (readdir(folder))
        n++;
    closedir(folder);
    return n;
}

static void test_create_leaves_nothing_when_it_fails(void **state) {
    (void)state;
    rig r;
    make(&r, "wan-tiny");
    const char *path = SCRATCH(&r.place, "model");
    const reel_create_options no_tokenizer = {.dtype = REEL_BF16,
                                              .tokenizer = SCRATCH(&r.place, "none.model")};
    assert_int_equal(reel_folder_create(r.env, path, &r.blueprint, &no_tokenizer), REEL_E_IO);
    assert_int_equal(entries(r.place.path), 0);
    reel_env_clear(r.env);
    const reel_create_options f16 = {.dtype = REEL_F16};
    assert_int_equal(reel_folder_create(r.env, path, &r.blueprint, &f16), REEL_E_ARG);
    assert_int_equal(entries(r.place.path), 0);
    reel_env_clear(r.env);
    create(&r, path, REEL_BF16, 0);
    const reel_create_options options = {.dtype = REEL_BF16};
    assert_int_equal(reel_folder_create(r.env, path, &r.blueprint, &options), REEL_E_ARG);
    assert_non_null(strstr(reel_env_message(r.env), "exists already"));
    assert_int_equal(entries(r.place.path), 1);
    unmake(&r);
}

static void test_create_from_a_file_and_from_a_folder(void **state) {
    (void)state;
    rig r;
    make(&r, "wan-tiny");
    scratch_copy(&r.place, "dit.json", "tests/golden/wan_dit_i2v/config.json");
    const char *file = SCRATCH(&r.place, "dit.json"), *path = SCRATCH(&r.place, "a");
    if (reel_blueprint_file(r.env, file, &r.blueprint) != REEL_OK)
        fail_msg("%s", reel_env_message(r.env));
    create(&r, path, REEL_F32, 0);
    expect_folder(&r, path, REEL_F32);
    reel_blueprint again;
    assert_int_equal(reel_blueprint_folder(r.env, path, &again), REEL_OK);
    assert_false(again.has[REEL_COMPONENT_VAE]);
    assert_int_equal(again.config[REEL_COMPONENT_TRANSFORMER].transformer.image_dim, 28);
    unmake(&r);
}

static void test_create_keeps_the_parts_asked_for(void **state) {
    (void)state;
    rig r;
    make(&r, "wan-tiny");
    assert_int_equal(reel_blueprint_keep(r.env, "vae,transformer", &r.blueprint), REEL_OK);
    assert_true(r.blueprint.has[REEL_COMPONENT_VAE]);
    assert_false(r.blueprint.has[REEL_COMPONENT_TEXT_ENCODER]);
    assert_int_equal(reel_blueprint_keep(r.env, "text_encoder", &r.blueprint), REEL_E_ARG);
    reel_env_clear(r.env);
    assert_int_equal(reel_blueprint_keep(r.env, "vae,,", &r.blueprint), REEL_E_ARG);
    assert_non_null(strstr(reel_env_message(r.env), "wanted some of transformer, vae"));
    reel_env_clear(r.env);
    assert_int_equal(reel_blueprint_preset(r.env, "sora", &r.blueprint), REEL_E_ARG);
    assert_non_null(strstr(reel_env_message(r.env), "wan2.1-t2v-1.3b"));
    unmake(&r);
}

/* What training saves: a store's own values, in another dtype than they are held in. */
static void test_create_saves_a_store(void **state) {
    (void)state;
    rig r;
    make(&r, "wan-tiny");
    const reel_component_config *config = &r.blueprint.config[REEL_COMPONENT_TRANSFORMER];
    reel_params *params;
    reel_folder_writer *w;
    reel_folder *folder;
    reel_component *c;
    const char *path = SCRATCH(&r.place, "saved");
    assert_int_equal(reel_params_new(r.env, &params), REEL_OK);
    assert_int_equal(reel_component_declare(r.env, config, REEL_F32, params), REEL_OK);
    assert_int_equal(reel_folder_writer_open(r.env, path, &w), REEL_OK);
    assert_int_equal(reel_folder_writer_component(w, config, params, REEL_BF16), REEL_E_ARG);
    reel_env_clear(r.env); /* no values yet */
    assert_int_equal(reel_params_initialise(params, 3), REEL_OK);
    assert_int_equal(reel_folder_writer_component(w, config, params, REEL_BF16), REEL_OK);
    assert_int_equal(reel_path_look(path), REEL_PATH_NONE); /* not before it is whole */
    assert_int_equal(reel_folder_writer_commit(w, NULL), REEL_OK);
    reel_folder_writer_close(&w);
    assert_int_equal(reel_folder_open(r.env, path, &folder), REEL_OK);
    assert_int_equal(
        reel_folder_component(folder, REEL_COMPONENT_TRANSFORMER, REEL_WEIGHTS_STORED, &c),
        REEL_OK);
    const reel_param *from = reel_params_find(params, "blocks.1.attn1.to_q.weight");
    const reel_param *to = reel_params_find(c->params, "blocks.1.attn1.to_q.weight");
    for (int64_t i = 0; i < reel_shape_count(&from->shape); i++)
        assert_int_equal(((const reel_bf16 *)to->data)[i],
                         reel_f32_to_bf16(((const float *)from->data)[i]));
    reel_component_close(&c);
    reel_folder_close(&folder);
    reel_params_free(&params);
    unmake(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create_tiny_models_open_again),
        cmocka_unit_test(test_create_cuts_into_shards),
        cmocka_unit_test(test_create_configs_read_back_as_they_were),
        cmocka_unit_test(test_create_leaves_nothing_when_it_fails),
        cmocka_unit_test(test_create_from_a_file_and_from_a_folder),
        cmocka_unit_test(test_create_keeps_the_parts_asked_for),
        cmocka_unit_test(test_create_saves_a_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
