/* Renaming against the golden key maps, which the reference's own conversion scripts made. */
#include "zoo/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "support/op_check.h"

static int expect_map(const char *folder, const reel_component_config *config) {
    char path[160];
    reel_env *env = op_test_env(1);
    reel_json_doc *doc;
    snprintf(path, sizeof path, "tests/golden/%s/key_map.json", folder);
    if (reel_json_load(env, path, &doc) != REEL_OK) fail_msg("%s", reel_env_message(env));
    const reel_json root = reel_json_root(doc);
    int n = 0;
    for (reel_json_entry e = reel_json_first(&root); e.key; e = reel_json_next(&root, e), n++) {
        const char *want;
        char text[REEL_KEY_BYTES];
        assert_int_equal(reel_json_string(&e.value, NULL, &want), REEL_OK);
        assert_string_equal(reel_key_canonical(config, e.key, text), want);
        /* A name that is diffusers' already stays what it is. */
        assert_string_equal(reel_key_canonical(config, want, text), want);
    }
    reel_json_free(&doc);
    reel_env_free(&env);
    return n;
}

static void test_keys_are_renamed_as_the_reference_does(void **state) {
    (void)state;
    const reel_component_config transformer = {.kind = REEL_COMPONENT_TRANSFORMER};
    const reel_component_config text_encoder = {.kind = REEL_COMPONENT_TEXT_ENCODER};
    const reel_component_config vae = {.kind = REEL_COMPONENT_VAE, .vae.num_res_blocks = 2};
    assert_int_equal(expect_map("wan_vae_9f", &vae), 194);
    assert_int_equal(expect_map("wan_dit_t2v", &transformer), 69);
    assert_int_equal(expect_map("wan_dit_i2v", &transformer), 87);
    assert_int_equal(expect_map("t5_encoder", &text_encoder), 30);
    assert_int_equal(expect_map("umt5_encoder", &text_encoder), 32);
}

/* Pairs of names that conversion scripts for Wan 2.2's autoencoder and for the vision half of
 * OpenCLIP agree on. */
static void test_keys_of_newer_parts_are_renamed(void **state) {
    (void)state;
    static const char *const vae[][2] = {{"encoder.downsamples.0.downsamples.0.residual.0.gamma",
                                          "encoder.down_blocks.0.resnets.0.norm1.gamma"},
                                         {"encoder.downsamples.0.downsamples.1.residual.2.weight",
                                          "encoder.down_blocks.0.resnets.1.conv1.weight"},
                                         {"encoder.downsamples.1.downsamples.0.shortcut.weight",
                                          "encoder.down_blocks.1.resnets.0.conv_shortcut.weight"},
                                         {"encoder.downsamples.0.downsamples.2.resample.1.weight",
                                          "encoder.down_blocks.0.downsampler.resample.1.weight"},
                                         {"encoder.downsamples.1.downsamples.2.time_conv.bias",
                                          "encoder.down_blocks.1.downsampler.time_conv.bias"},
                                         {"decoder.upsamples.1.upsamples.2.residual.6.bias",
                                          "decoder.up_blocks.1.resnets.2.conv2.bias"},
                                         {"decoder.upsamples.0.upsamples.2.residual.3.gamma",
                                          "decoder.up_blocks.0.resnets.2.norm2.gamma"},
                                         {"decoder.upsamples.1.upsamples.0.shortcut.bias",
                                          "decoder.up_blocks.1.resnets.0.conv_shortcut.bias"},
                                         {"decoder.upsamples.0.upsamples.3.resample.1.weight",
                                          "decoder.up_blocks.0.upsampler.resample.1.weight"},
                                         {"decoder.upsamples.0.upsamples.3.time_conv.weight",
                                          "decoder.up_blocks.0.upsampler.time_conv.weight"}};
    static const char *const clip[][2] = {
        {"visual.cls_embedding", "vision_model.embeddings.class_embedding"},
        {"visual.transformer.11.attn.proj.bias",
         "vision_model.encoder.layers.11.self_attn.out_proj.bias"},
        {"visual.transformer.3.mlp.2.weight", "vision_model.encoder.layers.3.mlp.fc2.weight"}};
    const reel_component_config v = {.kind = REEL_COMPONENT_VAE, .vae.num_res_blocks = 2};
    const reel_component_config c = {.kind = REEL_COMPONENT_IMAGE_ENCODER};
    char text[REEL_KEY_BYTES];
    for (size_t i = 0; i < sizeof vae / sizeof *vae; i++)
        assert_string_equal(reel_key_canonical(&v, vae[i][0], text), vae[i][1]);
    for (size_t i = 0; i < sizeof clip / sizeof *clip; i++)
        assert_string_equal(reel_key_canonical(&c, clip[i][0], text), clip[i][1]);
    assert_true(reel_key_ignored(&c, "textual.transformer.0.attn.q.weight"));
    assert_true(reel_key_ignored(&c, "visual.head"));
    assert_false(reel_key_ignored(&c, "visual.tail"));
}

static void test_keys_too_long_to_rename_stay_what_they_are(void **state) {
    (void)state;
    const reel_component_config transformer = {.kind = REEL_COMPONENT_TRANSFORMER};
    char name[REEL_KEY_BYTES + 32], text[REEL_KEY_BYTES];
    memset(name, 'x', sizeof name);
    memcpy(name, "head.head.", 10);
    name[sizeof name - 1] = '\0';
    assert_ptr_equal(reel_key_canonical(&transformer, name, text), name);
    assert_string_equal(reel_key_canonical(&transformer, "blocks.12345678901.modulation", text),
                        "blocks.12345678901.modulation");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_are_renamed_as_the_reference_does),
        cmocka_unit_test(test_keys_of_newer_parts_are_renamed),
        cmocka_unit_test(test_keys_too_long_to_rename_stay_what_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
