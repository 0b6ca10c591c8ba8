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
        cmocka_unit_test(test_keys_too_long_to_rename_stay_what_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
