/* Model folders in both layouts, made of the golden cases' weights; and what is refused. */
#include "zoo/folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support/op_check.h"
#include "support/scratch.h"

static const char index_text[] =
    "{\"_class_name\":\"WanPipeline\",\"_diffusers_version\":\"0.33.0.dev0\","
    "\"scheduler\":[\"diffusers\",\"UniPCMultistepScheduler\"],"
    "\"text_encoder\":[\"transformers\",\"UMT5EncoderModel\"],"
    "\"tokenizer\":[\"transformers\",\"T5TokenizerFast\"],"
    "\"transformer\":[\"diffusers\",\"WanTransformer3DModel\"],\"transformer_2\":[null,null],"
    "\"vae\":[\"diffusers\",\"AutoencoderKLWan\"]}";
static const char scheduler_text[] =
    "{\"_class_name\":\"UniPCMultistepScheduler\",\"beta_end\":0.02,\"beta_schedule\":\"linear\","
    "\"disable_corrector\":[],\"final_sigmas_type\":\"zero\",\"flow_shift\":5.0,"
    "\"lower_order_final\":true,\"num_train_timesteps\":1000,\"predict_x0\":true,"
    "\"prediction_type\":\"flow_prediction\",\"solver_order\":2,\"solver_p\":null,"
    "\"solver_type\":\"bh2\",\"thresholding\":false,\"timestep_spacing\":\"linspace\","
    "\"trained_betas\":null,\"use_flow_sigmas\":true,\"use_karras_sigmas\":false}";

typedef struct rig {
    reel_env *env;
    scratch place;
    reel_folder *folder;
    reel_component *component;
} rig;

static void make(rig *r) {
    *r = (rig){.env = op_test_env(1)};
    scratch_make(&r->place);
}

static void make_diffusers(rig *r) {
    static const char *const copy[][2] = {
        {"transformer/config.json", "tests/golden/wan_dit_t2v/config.json"},
        {"transformer/diffusion_pytorch_model.safetensors",
         "tests/golden/wan_dit_t2v/weights.safetensors"},
        {"vae/config.json", "tests/golden/wan_vae_9f/config.json"},
        {"vae/diffusion_pytorch_model.safetensors", "tests/golden/wan_vae_9f/weights.safetensors"},
        {"text_encoder/config.json", "tests/golden/umt5_encoder/config.json"},
        {"text_encoder/model.safetensors", "tests/golden/umt5_encoder/weights.safetensors"},
    };
    make(r);
    scratch_write(&r->place, "model_index.json", index_text);
    scratch_write(&r->place, "scheduler/scheduler_config.json", scheduler_text);
    scratch_write(&r->place, "tokenizer/spiece.model", "not looked at here");
    for (size_t i = 0; i < sizeof copy / sizeof *copy; i++)
        scratch_copy(&r->place, copy[i][0], copy[i][1]);
}

static void unmake(rig *r) {
    reel_component_close(&r->component);
    reel_folder_close(&r->folder);
    assert_int_equal(r->env->allocator.bytes, 0);
    scratch_remove(&r->place);
    reel_env_free(&r->env);
}

static void open_folder(rig *r) {
    if (reel_folder_open(r->env, r->place.path, &r->folder) != REEL_OK)
        fail_msg("%s", reel_env_message(r->env));
}

static void open_part(rig *r, reel_component_kind kind, reel_weights_as as) {
    reel_component_close(&r->component);
    if (reel_folder_component(r->folder, kind, as, &r->component) != REEL_OK)
        fail_msg("%s", reel_env_message(r->env));
}

/* Opening the folder, or the part, fails with that status and a message that has both texts. */
static void expect_refusal(rig *r, reel_status wanted, int kind, const char *part,
                           const char *other) {
    reel_component *c = NULL;
    reel_folder *f = NULL;
    reel_status status = reel_folder_open(r->env, r->place.path, &f);
    if (status == REEL_OK && kind >= 0)
        status = reel_folder_component(f, (reel_component_kind)kind, REEL_WEIGHTS_STORED, &c);
    const char *message = reel_env_message(r->env);
    if (status != wanted || !strstr(message, part) || !strstr(message, other))
        fail_msg("wanted %s with '%s' and '%s', got %s: %s", reel_status_name(wanted), part, other,
                 reel_status_name(status), message);
    reel_env_clear(r->env);
    reel_folder_close(&f);
}

static void test_folder_scheduler_says_that_x0_is_predicted(void **state) {
    (void)state;
    rig r;
    make_diffusers(&r);
    open_folder(&r);
    reel_scheduler_config of_sample = *reel_folder_scheduler(r.folder);
    of_sample.prediction = "sample";
    assert_true(reel_scheduler_is_multistep(&of_sample));
    reel_json_out out;
    const char *text;
    int64_t bytes;
    reel_json_out_init(&out, r.env);
    reel_scheduler_config_write(&out, &of_sample);
    assert_int_equal(reel_json_out_text(&out, &text, &bytes), REEL_OK);
    reel_json_doc *doc;
    assert_int_equal(reel_json_parse(r.env, text, bytes, "scheduler", &doc), REEL_OK);
    const reel_json at = reel_json_root(doc);
    reel_scheduler_config again;
    assert_int_equal(reel_scheduler_config_read(&at, &again), REEL_OK);
    assert_true(again.flow && again.shift == 5);
    assert_string_equal(again.prediction, "sample");
    reel_json_free(&doc);
    reel_json_out_deinit(&out);
    unmake(&r);
}

static void test_folder_of_diffusers_opens_part_by_part(void **state) {
    (void)state;
    rig r;
    make_diffusers(&r);
    open_folder(&r);
    assert_string_equal(reel_folder_index(r.folder)->pipeline, "WanPipeline");
    assert_non_null(strstr(reel_folder_tokenizer(r.folder), "tokenizer/spiece.model"));
    const reel_scheduler_config *s = reel_folder_scheduler(r.folder);
    assert_string_equal(s->sampler, "unipc");
    assert_true(s->flow && s->shift == 5 && s->solver_order == 2);
    assert_string_equal(s->prediction, "flow");
    open_part(&r, REEL_COMPONENT_TEXT_ENCODER, REEL_WEIGHTS_STORED);
    assert_int_equal(r.component->config.text_encoder.vocab_size, 50);
    assert_int_equal(reel_params_count(r.component->params), 32);
    open_part(&r, REEL_COMPONENT_VAE, REEL_WEIGHTS_STORED);
    assert_int_equal(r.component->config.vae.base_dim, 3);
    assert_true(r.component->config.vae.latents_std[1] == 0.7f);
    open_part(&r, REEL_COMPONENT_TRANSFORMER, REEL_WEIGHTS_STORED);
    assert_int_equal(r.component->config.transformer.num_layers, 2);
    assert_int_equal(r.component->converted_bytes, 0);
    reel_folder_close(&r.folder); /* the part lives on */
    const reel_param *p = reel_params_find(r.component->params, "proj_out.bias");
    assert_non_null(p);
    assert_true(((const float *)p->data)[0] == ((const float *)p->data)[0]);
    unmake(&r);
}

static void test_folder_weights_are_converted_when_asked(void **state) {
    (void)state;
    rig r;
    make_diffusers(&r);
    open_folder(&r);
    open_part(&r, REEL_COMPONENT_TRANSFORMER, REEL_WEIGHTS_STORED);
    reel_component *stored = r.component;
    r.component = NULL;
    open_part(&r, REEL_COMPONENT_TRANSFORMER, REEL_WEIGHTS_BF16);
    assert_int_equal(r.component->bytes, stored->bytes / 2);
    assert_int_equal(r.component->converted_bytes, r.component->bytes);
    for (int i = 0; i < reel_params_count(stored->params); i++) {
        const reel_param *from = reel_params_at(stored->params, i);
        const reel_param *to = reel_params_find(r.component->params, from->name);
        assert_int_equal(to->dtype, REEL_BF16);
        for (int64_t k = 0; k < reel_shape_count(&from->shape); k++)
            assert_int_equal(((const reel_bf16 *)to->data)[k],
                             reel_f32_to_bf16(((const float *)from->data)[k]));
    }
    reel_component_close(&stored);
    unmake(&r);
}

static void test_folder_of_the_original_layout_opens(void **state) {
    (void)state;
    rig r;
    make(&r);
    scratch_write(
        &r.place, "config.json",
        "{\"_class_name\":\"WanModel\",\"_diffusers_version\":\"0.30.0\",\"dim\":24,"
        "\"eps\":1e-06,\"ffn_dim\":56,\"freq_dim\":32,\"in_dim\":12,\"model_type\":\"i2v\","
        "\"num_heads\":2,\"num_layers\":2,\"out_dim\":4,\"text_len\":512,\"text_dim\":20}");
    scratch_copy(&r.place, "diffusion_pytorch_model.safetensors",
                 "tests/golden/wan_dit_i2v/weights_original.safetensors");
    scratch_write(&r.place, "models_t5_umt5-xxl-enc-bf16.pth", "PK");
    open_folder(&r);
    open_part(&r, REEL_COMPONENT_TRANSFORMER, REEL_WEIGHTS_STORED);
    assert_int_equal(r.component->config.transformer.image_dim, 28); /* from the weights */
    assert_non_null(reel_params_find(r.component->params, "blocks.1.attn2.add_k_proj.weight"));
    expect_refusal(&r, REEL_E_UNSUPPORTED, REEL_COMPONENT_TEXT_ENCODER,
                   "models_t5_umt5-xxl-enc-bf16.pth", "save_file");
    unmake(&r);
}

/* Wan 2.2's pairs have their transformers in folders, and everything else beside these. */
static void test_folder_of_an_original_pair_opens(void **state) {
    (void)state;
    static const char config[] =
        "{\"_class_name\":\"WanModel\",\"dim\":24,\"eps\":1e-06,\"ffn_dim\":56,\"freq_dim\":32,"
        "\"in_dim\":16,\"model_type\":\"t2v\",\"num_heads\":2,\"num_layers\":2,\"out_dim\":16,"
        "\"text_len\":512,\"text_dim\":20}";
    static const char *const noise[] = {"high_noise_model", "low_noise_model"};
    rig r;
    make(&r);
    for (int i = 0; i < 2; i++) {
        char below[80];
        snprintf(below, sizeof below, "%s/config.json", noise[i]);
        scratch_write(&r.place, below, config);
        snprintf(below, sizeof below, "%s/diffusion_pytorch_model.safetensors", noise[i]);
        scratch_copy(&r.place, below, "tests/golden/wan_dit_t2v/weights_original.safetensors");
    }
    open_folder(&r);
    assert_true(reel_folder_index(r.folder)->boundary_ratio == 0.875);
    assert_true(reel_folder_scheduler(r.folder)->shift == 12);
    open_part(&r, REEL_COMPONENT_TRANSFORMER, REEL_WEIGHTS_STORED);
    open_part(&r, REEL_COMPONENT_TRANSFORMER_2, REEL_WEIGHTS_STORED);
    assert_non_null(reel_params_find(r.component->params, "blocks.1.attn1.to_q.weight"));
    assert_null(reel_folder_config(r.folder, REEL_COMPONENT_IMAGE_ENCODER));
    unlink(SCRATCH(&r.place, "low_noise_model/diffusion_pytorch_model.safetensors"));
    expect_refusal(&r, REEL_E_IO, REEL_COMPONENT_TRANSFORMER_2, "low_noise_model", "no weights");
    unmake(&r);
}

/* The 5B of Wan 2.2 has one level for each token, another autoencoder and more shift. */
static void test_folder_of_the_original_5b_is_known_by_its_channels(void **state) {
    (void)state;
    rig r;
    make(&r);
    scratch_write(&r.place, "config.json",
                  "{\"_class_name\":\"WanModel\",\"dim\":24,\"ffn_dim\":56,\"in_dim\":48,"
                  "\"model_type\":\"ti2v\",\"num_heads\":2,\"num_layers\":2,\"out_dim\":48}");
    scratch_write(&r.place, "Wan2.2_VAE.pth", "PK");
    open_folder(&r);
    assert_true(reel_folder_index(r.folder)->expand_timesteps);
    assert_true(reel_folder_scheduler(r.folder)->shift == 5);
    assert_int_equal(reel_folder_config(r.folder, REEL_COMPONENT_VAE)->vae.z_dim, 48);
    assert_true(reel_folder_config(r.folder, REEL_COMPONENT_VAE)->vae.is_residual);
    expect_refusal(&r, REEL_E_UNSUPPORTED, REEL_COMPONENT_VAE, "Wan2.2_VAE.pth", "save_file");
    unmake(&r);
}

static void test_folder_may_be_a_file_with_its_config_beside_it(void **state) {
    (void)state;
    rig r;
    make(&r);
    scratch_copy(&r.place, "wan.safetensors", "tests/golden/wan_dit_t2v/weights.safetensors");
    const char *file = SCRATCH(&r.place, "wan.safetensors");
    assert_int_equal(reel_folder_open(r.env, file, &r.folder), REEL_E_FORMAT);
    assert_non_null(strstr(reel_env_message(r.env), "config.json beside it"));
    reel_env_clear(r.env);
    scratch_copy(&r.place, "config.json", "tests/golden/wan_dit_t2v/config.json");
    assert_int_equal(reel_folder_open(r.env, file, &r.folder), REEL_OK);
    open_part(&r, REEL_COMPONENT_TRANSFORMER, REEL_WEIGHTS_STORED);
    assert_null(reel_folder_config(r.folder, REEL_COMPONENT_VAE));
    reel_folder_close(&r.folder);
    scratch_write(&r.place, "wan.pth", "PK");
    assert_int_equal(reel_folder_open(r.env, SCRATCH(&r.place, "wan.pth"), &r.folder),
                     REEL_E_UNSUPPORTED);
    unmake(&r);
}

static void test_folder_pickles_are_refused_with_advice(void **state) {
    (void)state;
    rig r;
    make_diffusers(&r);
    unlink(SCRATCH(&r.place, "text_encoder/model.safetensors"));
    expect_refusal(&r, REEL_E_IO, REEL_COMPONENT_TEXT_ENCODER, "text_encoder", "no weights");
    scratch_write(&r.place, "text_encoder/pytorch_model.bin", "PK");
    expect_refusal(&r, REEL_E_UNSUPPORTED, REEL_COMPONENT_TEXT_ENCODER, "pytorch_model.bin",
                   "a pickle");
    unmake(&r);
}

static void test_folder_what_is_wrong_is_named(void **state) {
    (void)state;
    static const struct {
        const char *file, *text;
        reel_status status;
        const char *part, *other;
    } bad[] = {
        {"model_index.json", "{", REEL_E_FORMAT, "model_index.json", "line 1"},
        {"model_index.json", "[]", REEL_E_FORMAT, "model_index.json", "an object"},
        {"model_index.json", "{\"_class_name\":\"FluxPipeline\"}", REEL_E_FORMAT, "FluxPipeline",
         "WanPipeline"},
        {"model_index.json",
         "{\"_class_name\":\"WanPipeline\",\"transformer_2\":[\"diffusers\",\"X\"]}", REEL_E_FORMAT,
         "boundary_ratio", "two transformers"},
        {"model_index.json",
         "{\"_class_name\":\"WanPipeline\",\"transformer_2\":[\"diffusers\",\"X\"],"
         "\"boundary_ratio\":1.5}",
         REEL_E_FORMAT, "boundary_ratio", "1.5"},
        {"model_index.json",
         "{\"_class_name\":\"WanPipeline\",\"transformer_2\":[\"diffusers\",\"X\"],"
         "\"boundary_ratio\":0.9}",
         REEL_E_IO, "transformer_2/config.json", "No such file"},
        {"model_index.json", "{\"_class_name\":\"WanPipeline\",\"transformer\":[1]}", REEL_E_FORMAT,
         "transformer", "library"},
        {"transformer/config.json", "{\"_class_name\":\"WanVACETransformer3DModel\"}",
         REEL_E_FORMAT, "transformer/config.json", "WanVACETransformer3DModel"},
        {"transformer/config.json",
         "{\"_class_name\":\"WanTransformer3DModel\",\"num_layers\":1e400}", REEL_E_FORMAT,
         "transformer/config.json", "line 1"},
        {"transformer/config.json",
         "{\"_class_name\":\"WanTransformer3DModel\",\"num_layers\":99999999999999999999}",
         REEL_E_FORMAT, "transformer/config.json", "line 1"},
        {"transformer/config.json", "{\"_class_name\":\"WanTransformer3DModel\",\"ffn_dim\":-5}",
         REEL_E_FORMAT, "ffn_dim", "-5"},
        {"transformer/config.json",
         "{\"_class_name\":\"WanTransformer3DModel\",\"ffn_dim\":\"many\"}", REEL_E_FORMAT,
         "ffn_dim", "many"},
        {"transformer/config.json", "{\"_class_name\":\"WanTransformer3DModel\",\"eps\":NaN}",
         REEL_E_FORMAT, "transformer/config.json", "line 1"},
        {"transformer/config.json",
         "{\"_class_name\":\"WanTransformer3DModel\",\"patch_size\":[1,2]}", REEL_E_FORMAT,
         "patch_size", "2 numbers"},
        {"transformer/config.json",
         "{\"_class_name\":\"WanTransformer3DModel\",\"vace_layers\":[0,5]}", REEL_E_UNSUPPORTED,
         "vace_layers", "does not know"},
        {"transformer/config.json",
         "{\"_class_name\":\"WanTransformer3DModel\",\"pos_embed_seq_len\":514}",
         REEL_E_UNSUPPORTED, "pos_embed_seq_len", "learned positions"},
        {"transformer/config.json",
         "{\"_class_name\":\"WanTransformer3DModel\",\"num_layers\":5000}", REEL_E_ARG,
         "transformer/config.json", "num_layers"},
        {"text_encoder/config.json", "{\"model_type\":\"umt5\",\"feed_forward_proj\":\"relu\"}",
         REEL_E_FORMAT, "feed_forward_proj", "relu"},
        {"text_encoder/config.json", "{\"model_type\":\"umt5\",\"is_gated_act\":false}",
         REEL_E_UNSUPPORTED, "is_gated_act", "gate"},
        {"text_encoder/config.json", "{\"d_model\":4}", REEL_E_FORMAT, "model_type", "config.json"},
        {"scheduler/scheduler_config.json", "{\"_class_name\":\"LCMScheduler\"}", REEL_E_FORMAT,
         "scheduler_config.json", "LCMScheduler"},
        {"scheduler/scheduler_config.json",
         "{\"_class_name\":\"UniPCMultistepScheduler\",\"prediction_type\":\"flow_prediction\"}",
         REEL_E_UNSUPPORTED, "prediction_type", "flow"},
        {"scheduler/scheduler_config.json",
         "{\"_class_name\":\"FlowMatchEulerDiscreteScheduler\",\"use_dynamic_shifting\":true}",
         REEL_E_UNSUPPORTED, "use_dynamic_shifting", "size"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rig r;
        make_diffusers(&r);
        scratch_write(&r.place, bad[i].file, bad[i].text);
        expect_refusal(&r, bad[i].status, -1, bad[i].part, bad[i].other);
        unmake(&r);
    }
}

static void test_folder_hostile_places_are_refused(void **state) {
    (void)state;
    rig r;
    make(&r);
    expect_refusal(&r, REEL_E_FORMAT, -1, r.place.path, "not a model folder");
    unmake(&r);
    make_diffusers(&r);
    const char *config = SCRATCH(&r.place, "transformer/config.json");
    unlink(config);
    expect_refusal(&r, REEL_E_IO, -1, "transformer/config.json", "No such file");
    assert_int_equal(symlink(config, config), 0); /* a loop */
    expect_refusal(&r, REEL_E_IO, -1, "transformer/config.json", "symbolic links");
    unmake(&r);
    make_diffusers(&r);
    const char *weights = SCRATCH(&r.place, "transformer/diffusion_pytorch_model.safetensors");
    assert_int_equal(truncate(weights, 5000), 0);
    expect_refusal(&r, REEL_E_FORMAT, REEL_COMPONENT_TRANSFORMER, weights, "");
    unmake(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folder_of_diffusers_opens_part_by_part),
        cmocka_unit_test(test_folder_scheduler_says_that_x0_is_predicted),
        cmocka_unit_test(test_folder_weights_are_converted_when_asked),
        cmocka_unit_test(test_folder_of_the_original_layout_opens),
        cmocka_unit_test(test_folder_of_an_original_pair_opens),
        cmocka_unit_test(test_folder_of_the_original_5b_is_known_by_its_channels),
        cmocka_unit_test(test_folder_may_be_a_file_with_its_config_beside_it),
        cmocka_unit_test(test_folder_pickles_are_refused_with_advice),
        cmocka_unit_test(test_folder_what_is_wrong_is_named),
        cmocka_unit_test(test_folder_hostile_places_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
