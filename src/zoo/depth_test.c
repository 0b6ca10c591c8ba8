/* What the key of an autoencoder's latents depends on. That heads are compared by it is tested with
 * their trainer. */
#include "zoo/depth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "support/op_check.h"
#include "support/scratch.h"

static void test_latents_key_is_the_encoders(void **state) {
    (void)state;
    scratch place;
    reel_env *env = op_test_env(1);
    reel_folder *folder;
    reel_component *vae;
    char key[3][REEL_DEPTH_KEY];
    scratch_make(&place);
    scratch_copy(&place, "vae/config.json", "tests/golden/wan_vae_9f/config.json");
    scratch_copy(&place, "vae/diffusion_pytorch_model.safetensors",
                 "tests/golden/wan_vae_9f/weights.safetensors");
    scratch_write(&place, "model_index.json",
                  "{\"_class_name\":\"WanPipeline\",\"vae\":[\"diffusers\",\"AutoencoderKLWan\"]}");
    assert_int_equal(reel_folder_open(env, place.path, &folder), REEL_OK);
    assert_false(reel_folder_has_depth(folder));
    /* converted, so that the weights are in memory that may be written to */
    assert_int_equal(reel_folder_component(folder, REEL_COMPONENT_VAE, REEL_WEIGHTS_BF16, &vae),
                     REEL_OK);
    reel_param *decoder = reel_params_find(vae->params, "decoder.conv_in.weight");
    reel_param *encoder = reel_params_find(vae->params, "encoder.conv_in.weight");
    assert_true(decoder && encoder);
    reel_latents_key(vae, key[0]);
    *(uint16_t *)decoder->data ^= 1;
    reel_latents_key(vae, key[1]);
    *(uint16_t *)encoder->data ^= 1;
    reel_latents_key(vae, key[2]);
    assert_int_equal(strlen(key[0]), 16);
    assert_string_equal(key[0], key[1]); /* a decoder trained on keeps its heads */
    assert_string_not_equal(key[0], key[2]);
    reel_component_close(&vae);
    reel_folder_close(&folder);
    scratch_remove(&place);
    reel_env_free(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_latents_key_is_the_encoders)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
