/* The loader against the complete tensor lists of the published checkpoints of the Wan family. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "support/key_list.h"
#include "support/op_check.h"
#include "support/scratch.h"
#include "zoo/component.h"
#include "zoo/presets.h"

typedef struct published {
    const char *name;
    reel_component_kind kind;
    int n;           /* tensors, as counted by the reference implementation */
    int64_t weights; /* and their elements */
} published;

static const published all[] = {
    {"wan2.1_t2v_1.3b.diffusers", REEL_COMPONENT_TRANSFORMER, 825, 1418996800},
    {"wan2.1_t2v_1.3b.original", REEL_COMPONENT_TRANSFORMER, 825, 1418996800},
    {"wan2.1_t2v_14b.diffusers", REEL_COMPONENT_TRANSFORMER, 1095, 14288491584},
    {"wan2.1_t2v_14b.original", REEL_COMPONENT_TRANSFORMER, 1095, 14288491584},
    {"wan2.1_i2v_14b.diffusers", REEL_COMPONENT_TRANSFORMER, 1303, 16394878784},
    {"wan2.1_i2v_14b.original", REEL_COMPONENT_TRANSFORMER, 1303, 16394878784},
    {"wan2.1_vae.diffusers", REEL_COMPONENT_VAE, 194, 126892531},
    {"wan2.1_vae.original", REEL_COMPONENT_VAE, 194, 126892531},
    {"wan2.2_vae.diffusers", REEL_COMPONENT_VAE, 196, 704688668},
    {"wan2.2_vae.original", REEL_COMPONENT_VAE, 196, 704688668},
    {"clip_vit_h14.transformers", REEL_COMPONENT_IMAGE_ENCODER, 519, 630766080},
    {"clip_vit_h14.original", REEL_COMPONENT_IMAGE_ENCODER, 391, 630766080},
    {"umt5_xxl_encoder.transformers", REEL_COMPONENT_TEXT_ENCODER, 242, 5680910336},
    {"umt5_xxl_encoder.wan", REEL_COMPONENT_TEXT_ENCODER, 242, 5680910336},
    {"t5_v1_1_xxl_encoder.transformers", REEL_COMPONENT_TEXT_ENCODER, 219, 4762310656},
};

typedef struct rig {
    reel_env *env;
    scratch place;
    key_list list;
    reel_component_config config;
    reel_component *component;
} rig;

static const char *list_path(const char *name, const char *end, char text[160]) {
    snprintf(text, 160, "tests/zoo/shapes/%s.%s", name, end);
    return text;
}

static void open_rig(rig *r, const published *model) {
    char path[160];
    *r = (rig){.env = op_test_env(1)};
    scratch_make(&r->place);
    key_list_read(&r->list, list_path(model->name, "keys", path));
    r->config = (reel_component_config){.kind = model->kind, .original = true};
    if (strcmp(model->name, "wan2.1_vae.original") == 0) { /* published without a config */
        r->config.vae = reel_wan_vae_config_default();
        return;
    }
    if (strncmp(model->name, "wan2.2_vae", 10) == 0) { /* the preset's is what is to be known */
        r->config.vae = reel_wan22_vae_config();
        return;
    }
    if (model->kind == REEL_COMPONENT_IMAGE_ENCODER) {
        r->config.image_encoder = reel_clip_vision_config_default();
        return;
    }
    reel_json_doc *doc;
    if (reel_json_load(r->env, list_path(model->name, "json", path), &doc) != REEL_OK)
        fail_msg("%s", reel_env_message(r->env));
    const reel_json root = reel_json_root(doc);
    if (reel_component_config_read(&root, model->kind, &r->config) != REEL_OK)
        fail_msg("%s", reel_env_message(r->env));
    reel_json_free(&doc);
}

static reel_status load(rig *r) {
    const char *path = SCRATCH(&r->place, "model.safetensors");
    key_list_write(&r->list, 0, r->list.n, path);
    return reel_component_open(r->env, &r->config, path, REEL_WEIGHTS_STORED, &r->component);
}

static void close_rig(rig *r) {
    reel_component_close(&r->component);
    key_list_free(&r->list);
    scratch_remove(&r->place);
    assert_int_equal(r->env->allocator.bytes, 0);
    reel_env_free(&r->env);
}

static void test_real_shapes_every_list_loads(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        rig r;
        open_rig(&r, &all[i]);
        assert_int_equal(r.list.n, all[i].n);
        if (load(&r) != REEL_OK) fail_msg("%s: %s", all[i].name, reel_env_message(r.env));
        assert_int_equal(reel_params_count(r.component->params), all[i].n);
        assert_int_equal(reel_params_elements(r.component->params), all[i].weights);
        assert_int_equal(r.component->converted_bytes, 0); /* in place */
        close_rig(&r);
    }
}

static void expect_message(const rig *r, const char *part) {
    const char *message = reel_env_message(r->env);
    if (!strstr(message, part)) fail_msg("'%s' lacks '%s'", message, part);
}

static void test_real_shapes_differences_are_listed_in_one_message(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) { /* diffusers' names, then the original ones */
        rig r;
        open_rig(&r, &all[i]);
        const char *gone = i ? "blocks.7.norm3.bias" : "blocks.7.norm2.bias";
        const char *wide = i ? "blocks.3.ffn.0.weight" : "blocks.3.ffn.net.0.proj.weight";
        key_list_remove(&r.list, gone);
        key_list_add(&r.list, "blocks.30.extra", REEL_F32, REEL_SHAPE(4));
        key_list_find(&r.list, wide)->shape = REEL_SHAPE(8961, 1536);
        assert_int_equal(load(&r), REEL_E_FORMAT);
        expect_message(&r, "model.safetensors: the weights do not fit the config");
        expect_message(&r, "1 missing: blocks.7.norm2.bias");
        expect_message(&r, "1 unexpected: blocks.30.extra");
        expect_message(&r, wide);
        expect_message(&r, "[8961,1536], wanted [8960,1536]");
        close_rig(&r);
    }
}

static void test_real_shapes_many_differences_are_counted(void **state) {
    (void)state;
    rig r;
    open_rig(&r, &all[0]);
    r.config.transformer.num_layers = 28; /* the last two blocks are not expected */
    r.config.transformer.cross_attn_norm = false;
    assert_int_equal(load(&r), REEL_E_FORMAT);
    expect_message(&r, "110 unexpected: blocks.0.norm2.bias, "); /* 2 x 27, and 28 x 2 */
    expect_message(&r, ", ...");
    close_rig(&r);
}

static const published *find(const char *name) {
    const published *p = all;
    while (strcmp(p->name, name) != 0)
        p++;
    return p;
}

static void test_real_shapes_tied_and_ignored_tensors_may_be_there(void **state) {
    (void)state;
    rig r;
    open_rig(&r, find("umt5_xxl_encoder.transformers"));
    key_list_add(&r.list, "encoder.embed_tokens.weight", REEL_BF16, REEL_SHAPE(256384, 4096));
    if (load(&r) != REEL_OK) fail_msg("%s", reel_env_message(r.env));
    close_rig(&r);
    open_rig(&r, find("wan2.1_i2v_14b.diffusers"));
    key_list_add(&r.list, "blocks.0.attn2.norm_added_q.weight", REEL_F32, REEL_SHAPE(5120));
    if (load(&r) != REEL_OK) fail_msg("%s", reel_env_message(r.env));
    close_rig(&r);
    open_rig(&r, find("clip_vit_h14.original"));
    key_list_add(&r.list, "visual.head", REEL_F16, REEL_SHAPE(1280, 1024));
    key_list_add(&r.list, "textual.token_embedding.weight", REEL_F16, REEL_SHAPE(250002, 1024));
    if (load(&r) != REEL_OK) fail_msg("%s", reel_env_message(r.env));
    close_rig(&r);
}

static void test_real_shapes_a_tensor_twice_is_refused(void **state) {
    (void)state;
    rig r;
    open_rig(&r, &all[0]);
    key_list_add(&r.list, "head.head.bias", REEL_F32, REEL_SHAPE(64));
    assert_int_equal(load(&r), REEL_E_FORMAT);
    expect_message(&r, "twice");
    close_rig(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_real_shapes_every_list_loads),
        cmocka_unit_test(test_real_shapes_differences_are_listed_in_one_message),
        cmocka_unit_test(test_real_shapes_many_differences_are_counted),
        cmocka_unit_test(test_real_shapes_tied_and_ignored_tensors_may_be_there),
        cmocka_unit_test(test_real_shapes_a_tensor_twice_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
