#include <stdio.h>
#include <string.h>

#include "ops/elementwise.h"
#include "ops/layout.h"
#include "train/dit_state.h"
#include "train/text.h"
#include "zoo/adapter.h"

static const char tag[] = "dit trainer";

/* ---- recording ---- */

/* What the text encoder makes of a row's ids, zero where there is no token: [1,N X,d]. */
static reel_var record_text(const reel_dit_trainer *r, const reel_row *row, reel_nn *nn) {
    reel_tape *t = nn->tape;
    const int64_t N = row->N, X = row->X;
    const reel_t5_input in = {
        .ids = reel_tape_input(t, REEL_I32, REEL_SHAPE(N, X), "ids", row->ids),
        .buckets = reel_tape_input(t, REEL_I32, REEL_SHAPE(X, X), "buckets", r->buckets),
        .key_mask = reel_tape_input(t, REEL_U8, REEL_SHAPE(N, X), "key mask", row->key_mask)};
    reel_nn_begin(nn, "text_encoder");
    const reel_var rows = reel_t5(nn, &r->t5, &in); /* [N,X,d] */
    reel_nn_end(nn);
    const reel_var mask =
        reel_tape_input(t, REEL_F32, REEL_SHAPE(N, X, 1), "text mask", row->text_mask);
    return reel_reshape(t, reel_mul(t, rows, mask), REEL_SHAPE(1, N * X, r->t5.d_model));
}

reel_var reel_dit_record_said(const reel_dit_rows *p, reel_nn *nn) {
    const reel_var said = reel_cast(nn->tape, record_text(p->trainer, &p->row, nn), REEL_F32);
    reel_tape_keep(nn->tape, said);
    return said;
}

/* middle: becomes what half of the blocks leave; NULL: nobody asks. */
static reel_var record_prediction(reel_dit_rows *p, reel_nn *nn, reel_var text, reel_var *middle) {
    const reel_dit_trainer *r = p->trainer;
    const reel_row *row = &p->row;
    reel_tape *t = nn->tape;
    const int64_t T = row->T, width = row->C * row->patch * row->patch;
    const reel_wan_dit_input in = {
        .positions = reel_tape_input(t, REEL_I32, REEL_SHAPE(T, 3), "positions", row->positions),
        .t = reel_tape_input(t, REEL_F32, REEL_SHAPE(2 * row->N), "levels", row->level),
        .map = reel_tape_input(t, REEL_I32, REEL_SHAPE(T), "level of token", row->map),
        .text = text,
        .offsets = reel_tape_input(t, REEL_I32, REEL_SHAPE(row->N + 2), "offsets", row->offsets),
        .text_offsets =
            reel_tape_input(t, REEL_I32, REEL_SHAPE(row->N + 2), "text offsets", row->text_offsets),
        .n_texts = row->N,
        .middle = middle};
    const reel_var tokens =
        reel_tape_input(t, REEL_F32, REEL_SHAPE(1, T, width), "tokens", row->tokens);
    nn->lora_rank = r->recipe->dit.lora;
    reel_nn_begin(nn, "transformer");
    const reel_var y = reel_wan_dit_tokens(nn, &r->dit, tokens, &in); /* [1,T,P z] f32 */
    reel_nn_end(nn);
    nn->lora_rank = 0;
    return y;
}

static reel_var record_loss(void *context, reel_nn *nn) {
    reel_dit_rows *p = context;
    const reel_recipe *o = p->trainer->recipe;
    reel_var middle = 0;
    const reel_var text = record_text(p->trainer, &p->row, nn);
    const reel_var y = record_prediction(p, nn, text, o->dit.layout > 0 ? &middle : NULL);
    const reel_var loss = reel_row_loss(nn->tape, &p->row, y, (float)o->dit.vlb);
    if (!middle) return loss;
    const reel_var layout = reel_row_layout_loss(nn, &p->row, middle); /* its layer is not saved */
    return reel_combine(nn->tape, loss, 1, layout, (float)o->dit.layout);
}

static reel_var record_look(void *context, reel_nn *nn) {
    reel_dit_rows *p = context;
    p->said = reel_dit_record_said(p, nn);
    p->prediction = record_prediction(p, nn, p->said, NULL);
    return p->prediction;
}

/* ---- what is trained ---- */

/* Channels of the output: with a learned variance as many again. */
static int64_t outputs(const reel_dit_trainer *r) {
    return r->z * (r->objective == REEL_OBJECTIVE_LEARNED ? 2 : 1);
}

/* The sizes of the recipe. A model of a learned variance sees no planes: its channels say nothing
 * of them (models/wan/dit.h). */
static void set_models(reel_dit_trainer *r) {
    const reel_recipe *o = r->recipe;
    const bool planes = o->dit.planes && r->objective != REEL_OBJECTIVE_LEARNED;
    r->dit = reel_wan_dit_config_default();
    r->dit.num_attention_heads = o->dit.num_attention_heads;
    r->dit.attention_head_dim = o->dit.attention_head_dim;
    r->dit.ffn_dim = o->dit.ffn_dim;
    r->dit.num_layers = o->dit.num_layers;
    r->dit.freq_dim = o->dit.freq_dim;
    r->dit.out_channels = outputs(r);
    r->dit.in_channels = r->z + (planes ? REEL_WAN_DIT_PLANES : 0);
    r->dit.text_dim = o->text.d_model;
    r->dit.pooled_text = o->dit.pooled_text != 0;
    r->t5 = reel_text_config(o, reel_tokenizer_size(r->tokenizer));
    for (int i = 0; i < 3 && i < o->dit.patch_size.n; i++)
        r->dit.patch_size[i] = o->dit.patch_size.item[i];
}

/* Those of the folder training goes on from. */
static reel_status read_models(reel_dit_trainer *r) {
    const reel_component_config *dit = reel_folder_config(r->folder, REEL_COMPONENT_TRANSFORMER),
                                *t5 = reel_folder_config(r->folder, REEL_COMPONENT_TEXT_ENCODER);
    if (!dit || !t5)
        return reel_fail(r->env, REEL_E_ARG,
                         "%s: has no %s, wanted a whole model folder to go on from",
                         r->recipe->dit.init, dit ? "text_encoder" : "transformer");
    r->dit = dit->transformer;
    if (r->recipe->dit.pooled_text) r->dit.pooled_text = true; /* it may be given one */
    r->t5 = t5->text_encoder;
    return REEL_OK;
}

/* How it is sampled when nothing is said. From nothing: 20 steps, a guidance of 5, three quarters
 * of each step between latent frames taken off, to be measured anew for what comes of it. Of a
 * folder it is what that says. Rows of text are the recipe's where it names a number: the encoder's
 * positions are relative, and the transformer's text has none. */
static reel_status find_usual(reel_dit_trainer *r) {
    const reel_recipe *o = r->recipe;
    reel_usual *u = &r->usual;
    *u = (reel_usual){.steps = 20, .cfg_scale = 5, .text_length = 64};
    u->deblock = o->dit.init[0] ? 0 : 0.75;
    u->world = !o->dit.init[0];
    const reel_status status = o->dit.init[0] ? reel_usual_read(r->env, o->dit.init, u) : REEL_OK;
    if (o->text.tokens) u->text_length = o->text.tokens;
    r->text_length = u->text_length;
    return status;
}

/* What the recipe leaves out is the folder's own. */
static reel_status find_parts(reel_dit_trainer *r) {
    const reel_recipe *o = r->recipe;
    r->vae = o->dit.vae;
    const char *tokenizer = o->dit.tokenizer;
    reel_status status = find_usual(r);
    if (status != REEL_OK) return status;
    if (o->dit.init[0]) {
        status = reel_folder_open(r->env, o->dit.init, &r->folder);
        if (status != REEL_OK) return status;
        if (!r->vae[0]) r->vae = o->dit.init;
        if (!tokenizer[0] && reel_folder_tokenizer(r->folder))
            tokenizer = reel_folder_tokenizer(r->folder);
    }
    if (!r->vae[0] || !tokenizer[0])
        return reel_fail(r->env, REEL_E_ARG,
                         "training a dit needs dit.vae, the folder of a trained vae, and "
                         "dit.tokenizer, a spiece.model; or dit.init, a model folder with both");
    if (o->dit.balance_text && (!o->dit.init[0] || o->dit.lora > 0))
        return reel_fail(r->env, REEL_E_ARG,
                         "dit.balance_text needs dit.init, the folder of a trained model, and that "
                         "all of it is trained (dit.lora 0)");
    if (o->dit.layout > 0 && o->dit.lora > 0)
        return reel_fail(r->env, REEL_E_ARG,
                         "dit.layout asks all blocks, and low-rank paths alone are trained: got "
                         "%g and dit.lora %lld, wanted one of them 0",
                         o->dit.layout, (long long)o->dit.lora);
    if (o->dit.blend[0] && o->dit.lora > 0)
        return reel_fail(
            r->env, REEL_E_ARG,
            "dit.blend is about all weights, and low-rank paths alone are trained: got "
            "'%s' and dit.lora %lld, wanted no folder, or dit.lora 0",
            o->dit.blend, (long long)o->dit.lora);
    if (o->dit.lora > 0 && !o->dit.init[0])
        return reel_fail(r->env, REEL_E_ARG,
                         "dit.lora needs dit.init, the folder of a trained model");
    snprintf(r->tokenizer_path, sizeof r->tokenizer_path, "%s", tokenizer);
    return REEL_OK;
}

static reel_status open_parts(reel_dit_trainer *r) {
    const reel_recipe *o = r->recipe;
    reel_status status = find_parts(r);
    if (status == REEL_OK) status = reel_tokenizer_open(r->env, r->tokenizer_path, &r->tokenizer);
    if (status == REEL_OK)
        status = reel_clip_encoder_open(r->env, r->table, r->vae,
                                        o->optimiser.bf16 ? REEL_BF16 : REEL_F32, &r->encoder);
    if (status == REEL_OK) r->z = reel_clip_encoder_config(r->encoder)->z_dim;
    return status;
}

/* What the folder it begins with predicts, as an objective's name; flow without a folder. */
static const char *own_objective(const reel_dit_trainer *r) {
    const reel_scheduler_config *c = r->folder ? reel_folder_scheduler(r->folder) : NULL;
    if (!c) return "flow";
    return c->learned_variance ? "learned" : c->prediction;
}

/* An adapter says nothing of what its model predicts: low-rank paths are of the model they were
 * trained beside, as it is. */
static reel_status set_objective(reel_dit_trainer *r) {
    const reel_recipe *o = r->recipe;
    const char *const own = own_objective(r);
    const char *const name = o->dit.objective[0] ? o->dit.objective : own;
    r->objective = reel_objective_parse(name);
    if (r->objective == REEL_OBJECTIVE_COUNT)
        return reel_fail(r->env, REEL_E_ARG,
                         "dit.objective: got '%s', wanted flow, sample, epsilon, v or learned",
                         name);
    if (o->dit.lora > 0 && strcmp(name, own) != 0)
        return reel_fail(r->env, REEL_E_ARG,
                         "dit.objective: got '%s', but the model in %s is one of '%s', and "
                         "dit.lora tunes it as it is; leave the objective out, or train all of it",
                         name, o->dit.init, own);
    return REEL_OK;
}

/* A transformer cuts its tokens as it was made to: other patches would be other weights. */
static reel_status check_patch(const reel_dit_trainer *r) {
    const reel_recipe_list *said = &r->recipe->dit.patch_size;
    const int64_t *own = r->dit.patch_size;
    if (said->n && said->n != 3)
        return reel_fail(r->env, REEL_E_ARG, "dit.patch_size: got %lld numbers, wanted 3",
                         (long long)said->n);
    if (said->n && memcmp(said->item, own, 3 * sizeof *own) != 0)
        return reel_fail(r->env, REEL_E_ARG,
                         "dit.patch_size: got [%lld,%lld,%lld], but the transformer in %s was made "
                         "with [%lld,%lld,%lld]; leave it out, or train from nothing",
                         (long long)said->item[0], (long long)said->item[1],
                         (long long)said->item[2], r->recipe->dit.init, (long long)own[0],
                         (long long)own[1], (long long)own[2]);
    if (own[0] == 1 && own[1] == own[2]) return REEL_OK;
    return reel_fail(r->env, REEL_E_UNSUPPORTED,
                     "dit.patch_size must be [1,p,p]: rows of tokens are cut that way");
}

/* The text encoder is another folder's, where the recipe says so. */
static reel_status read_text(reel_dit_trainer *r) {
    const reel_status status =
        reel_text_read_init(r->env, r->recipe, reel_tokenizer_size(r->tokenizer), &r->t5);
    if (status != REEL_OK || !r->recipe->text.init[0]) return status;
    if (!r->folder) r->dit.text_dim = r->t5.d_model;
    if (r->t5.d_model == r->dit.text_dim) return REEL_OK;
    return reel_fail(r->env, REEL_E_ARG,
                     "text.init: %s gives %lld numbers for each piece of text, the transformer in "
                     "%s takes %lld",
                     r->recipe->text.init, (long long)r->t5.d_model, reel_folder_path(r->folder),
                     (long long)r->dit.text_dim);
}

reel_status reel_dit_open_models(reel_dit_trainer *r) {
    reel_status status = open_parts(r);
    if (status == REEL_OK) status = set_objective(r);
    if (status != REEL_OK) return status;
    if (r->folder)
        status = read_models(r);
    else
        set_models(r);
    if (status == REEL_OK) status = read_text(r);
    if (status == REEL_OK) status = check_patch(r);
    if (status != REEL_OK) return status;
    r->buckets = reel_calloc(r->env, r->text_length * r->text_length, sizeof *r->buckets, tag);
    if (!r->buckets) return REEL_E_NOMEM;
    reel_t5_buckets(&r->t5, r->text_length, r->buckets);
    reel_component_config blended; /* one that is not there is missed now, not hours later */
    if (r->recipe->dit.blend[0])
        status = reel_read_part_config(r->env, r->recipe->dit.blend, REEL_COMPONENT_TRANSFORMER,
                                       &blended);
    if (status == REEL_OK) status = reel_wan_dit_config_check(r->env, &r->dit);
    return status == REEL_OK ? reel_t5_config_check(r->env, &r->t5) : status;
}

reel_status reel_dit_check_sizes(const reel_dit_trainer *r) {
    const reel_recipe *o = r->recipe;
    const reel_latents_encoder e = reel_clip_encoder_latents(r->encoder);
    const int64_t side = e.factor_s * r->dit.patch_size[1];
    const int64_t most = 1 + (REEL_ROW_FRAMES - 1) * e.factor_t;
    if ((r->dit.in_channels != e.z && !reel_wan_dit_has_planes(&r->dit)) ||
        r->dit.out_channels != outputs(r))
        return reel_fail(r->env, REEL_E_ARG,
                         "the transformer takes %lld channels and gives %lld, the vae has %lld and "
                         "dit.objective asks for %lld",
                         (long long)r->dit.in_channels, (long long)r->dit.out_channels,
                         (long long)e.z, (long long)outputs(r));
    for (int64_t i = 0; i < o->data.n_buckets; i++) {
        const reel_bucket *b = &o->data.bucket[i];
        const int64_t plane = (b->width / side) * (b->height / side);
        if (plane > o->dit.row_tokens)
            return reel_fail(r->env, REEL_E_ARG,
                             "data.buckets[%lld]: one frame of %lldx%lld are %lld tokens, "
                             "dit.row_tokens is %lld",
                             (long long)i, (long long)b->width, (long long)b->height,
                             (long long)plane, (long long)o->dit.row_tokens);
        if (b->width % side || b->height % side || (b->frames - 1) % e.factor_t || b->frames > most)
            return reel_fail(r->env, REEL_E_ARG,
                             "data.buckets[%lld]: %lldx%lldx%lld: sides must be multiples of %lld, "
                             "frames 1 more than one of %lld and at most %lld",
                             (long long)i, (long long)b->width, (long long)b->height,
                             (long long)b->frames, (long long)side, (long long)e.factor_t,
                             (long long)most);
    }
    return REEL_OK;
}

/* ---- the learner ---- */

static bool of_flow(reel_objective objective) {
    return objective == REEL_OBJECTIVE_FLOW || objective == REEL_OBJECTIVE_SAMPLE;
}

static reel_status load(reel_dit_trainer *r, reel_component_kind kind, const char *prefix) {
    reel_component *part;
    reel_status status = reel_folder_component(r->folder, kind, REEL_WEIGHTS_STORED, &part);
    if (status != REEL_OK) return status;
    status = reel_load_component(part, reel_folder_path(r->folder), prefix, r->learner);
    reel_component_close(&part);
    return status;
}

/* A model of the velocity eps - x0 that is to give x0 from now on, or the other way round, begins
 * with its output turned: the nearest to what is wanted that it can say. */
static void turn_output(reel_dit_trainer *r) {
    static const char *const name[] = {"transformer.proj_out.weight", "transformer.proj_out.bias"};
    const bool sample = strcmp(reel_folder_scheduler(r->folder)->prediction, "sample") == 0;
    if (!of_flow(r->objective) || sample == (r->objective == REEL_OBJECTIVE_SAMPLE)) return;
    for (int i = 0; i < 2; i++) {
        const reel_param *p = reel_params_find(reel_learner_declared(r->learner), name[i]);
        float *w = p->data;
        for (int64_t k = 0; k < reel_shape_count(&p->shape); k++)
            w[k] = -w[k];
    }
}

/* Only the low-rank paths are trained, unless the recipe has rules for them. */
static void low_rank_rules(reel_learner_options *o) {
    for (int i = 0; i < o->n_rules; i++)
        if (strstr(o->rule[i].pattern, "lora")) return;
    o->rule[0] = (reel_rule){"*.lora_*", REEL_METHOD_ADAMW, 1e-3, 0};
    o->rule[1] = (reel_rule){"*", REEL_METHOD_FROZEN, 0, 0};
    o->n_rules = 2;
}

reel_status reel_dit_open_learner(reel_dit_trainer *r) {
    reel_learner_options o = reel_recipe_learner(r->recipe);
    if (r->recipe->dit.lora > 0) low_rank_rules(&o);
    reel_status status = reel_learner_new(r->env, r->table, &o, &r->learner);
    const bool asks = r->recipe->dit.layout > 0; /* all parameters are declared at once */
    if (status == REEL_OK)
        status = reel_learner_declare(r->learner, asks ? record_loss : record_look,
                                      asks ? &r->train : &r->look);
    if (status == REEL_OK && r->folder)
        status = load(r, REEL_COMPONENT_TRANSFORMER, "transformer.");
    if (status == REEL_OK && r->recipe->text.init[0])
        status = reel_load_part(r->env, r->recipe->text.init, REEL_COMPONENT_TEXT_ENCODER,
                                "text_encoder.", r->learner, NULL);
    else if (status == REEL_OK && r->folder)
        status = load(r, REEL_COMPONENT_TEXT_ENCODER, "text_encoder.");
    if (status == REEL_OK && r->folder) turn_output(r);
    if (status == REEL_OK) status = reel_learner_begin(r->learner, (uint64_t)r->recipe->run.seed);
    if (status == REEL_OK)
        status = reel_program_new(r->learner, REEL_PROGRAM_TRAIN, record_loss, &r->train,
                                  &r->train.program);
    if (status == REEL_OK)
        status = reel_program_new(r->learner, REEL_PROGRAM_AVERAGE, record_look, &r->look,
                                  &r->look.program);
    return status;
}

/* ---- saving ---- */

/* How it is sampled: as the model it came from, or as it was trained. */
static reel_scheduler_config scheduler_of(const reel_dit_trainer *r) {
    reel_scheduler_config c = reel_scheduler_config_default();
    c.shift = r->recipe->dit.shift;
    if (of_flow(r->objective)) {
        const bool sample = r->objective == REEL_OBJECTIVE_SAMPLE;
        if (r->folder) c = *reel_folder_scheduler(r->folder);
        const double shift = c.shift;
        if (sample && !reel_scheduler_is_multistep(&c)) { /* Euler's config cannot say so */
            c = reel_scheduler_config_default();
            c.shift = shift;
        }
        c.prediction = sample ? "sample" : "flow";
        return c;
    }
    c.flow = false;
    c.sampler = "ddpm";
    c.solver_type = NULL;
    c.prediction = r->objective == REEL_OBJECTIVE_V ? "v" : "epsilon";
    c.beta_schedule = "cosine";
    c.spacing = "leading";
    c.learned_variance = r->objective == REEL_OBJECTIVE_LEARNED;
    return c;
}

static reel_status save_model(const reel_dit_trainer *r, reel_params *transformer,
                              reel_params *text) {
    char path[REEL_DIT_PATH_BYTES];
    const reel_recipe *o = r->recipe;
    reel_usual usual = r->usual;
    usual.width = o->data.bucket[0].width;
    usual.height = o->data.bucket[0].height;
    usual.frames = o->data.bucket[0].frames;
    usual.fps = o->data.fps;
    usual.world = usual.world && !r->material.clips;
    snprintf(path, sizeof path, "%s/model", r->options->folder);
    return reel_save_model(
        r->env, path,
        &(reel_saved_model){
            .transformer = {.kind = REEL_COMPONENT_TRANSFORMER, .transformer = r->dit},
            .text_encoder = {.kind = REEL_COMPONENT_TEXT_ENCODER, .text_encoder = r->t5},
            .transformer_weights = transformer,
            .text_encoder_weights = text,
            .vae = o->dit.decoder[0] ? o->dit.decoder : r->vae,
            .tokenizer = r->tokenizer_path,
            .scheduler = scheduler_of(r),
            .expand_timesteps = !r->folder || reel_folder_index(r->folder)->expand_timesteps,
            .usual = usual});
}

reel_status reel_dit_save(void *context, bool at_end) {
    (void)at_end;
    reel_dit_trainer *r = context;
    reel_params *transformer = NULL, *text = NULL;
    reel_status status =
        reel_learner_export(r->learner, "transformer.", true, REEL_BF16, &transformer);
    if (status == REEL_OK)
        status = reel_learner_export(r->learner, "text_encoder.", true, REEL_BF16, &text);
    if (status == REEL_OK && r->recipe->dit.blend[0])
        status = reel_blend_part(r->env, r->recipe->dit.blend, REEL_COMPONENT_TRANSFORMER,
                                 r->recipe->dit.blend_share, transformer);
    if (status == REEL_OK) status = save_model(r, transformer, text);
    if (status == REEL_OK && r->recipe->dit.lora > 0) {
        char path[REEL_DIT_PATH_BYTES];
        snprintf(path, sizeof path, "%s/%s", r->options->folder, REEL_ADAPTER_FILE);
        status = reel_save_adapter(r->env, path, r->learner, "transformer.", r->recipe->dit.lora,
                                   scheduler_of(r).prediction);
    }
    reel_params_free(&transformer);
    reel_params_free(&text);
    return status;
}
