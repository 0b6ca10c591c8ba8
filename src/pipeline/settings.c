#include "pipeline/settings.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "zoo/usual.h"

void reel_settings_note(reel_settings *s, const char *format, ...) {
    if (s->n_notes == REEL_MAX_NOTES) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(s->note[s->n_notes++], REEL_NOTE_BYTES, format, arguments);
    va_end(arguments);
}

/* ---- what a model is made with when nothing is said ---- */

/* Wan 2.1 at 480p; Wan 2.2's 5B, which has 48 channels, at 704p; its pairs, with less guidance in
 * fewer steps; and what a model too small for either can be expected to have been trained on. */
static reel_usual of_family(const reel_folder *folder) {
    const reel_wan_dit_config *c =
        &reel_folder_config(folder, REEL_COMPONENT_TRANSFORMER)->transformer;
    reel_usual u = {.width = 832, .height = 480, .frames = 81, .fps = 16, .steps = 50};
    if (reel_wan_dit_takes_picture(c)) u.steps = 40;
    u.cfg_scale = 5;
    if (reel_folder_config(folder, REEL_COMPONENT_TRANSFORMER_2)) {
        u.steps = 40;
        u.cfg_scale = reel_wan_dit_takes_picture(c) ? 3.5 : 4;
    }
    if (c->in_channels == 48)
        u = (reel_usual){
            .width = 1280, .height = 704, .frames = 121, .fps = 24, .steps = 50, .cfg_scale = 5};
    if (c->num_attention_heads * c->attention_head_dim < 1024)
        u = (reel_usual){
            .width = 128, .height = 128, .frames = 17, .fps = 8, .steps = 20, .cfg_scale = 4};
    u.flow_shift = reel_folder_scheduler(folder)->shift;
    u.text_length = 512;
    return u;
}

static reel_status of_folder(reel_env *env, const reel_folder *folder, reel_usual *usual) {
    *usual = of_family(folder);
    return reel_usual_read(env, reel_folder_path(folder), usual);
}

/* ---- ranges ---- */

static reel_status check_range(reel_env *env, const char *name, double value, double least,
                               double most) {
    if (value >= least && value <= most) return REEL_OK;
    return reel_fail(env, REEL_E_ARG, "%s must be in %g..%g, got %g", name, least, most, value);
}

static reel_status check(reel_env *env, const reel_generate_request *r) {
    const struct {
        const char *name;
        double value, least, most;
        bool unset;
    } field[] = {{"width", (double)r->width, 16, 8192, r->width == 0},
                 {"height", (double)r->height, 16, 8192, r->height == 0},
                 {"frames", (double)r->frames, 1, 1000000, r->frames == 0},
                 {"seconds", r->seconds, 0.01, 100000, r->seconds == 0},
                 {"fps", r->fps, 1, 1000, r->fps == 0},
                 {"steps", (double)r->steps, 1, REEL_MAX_STEPS, r->steps == 0},
                 {"cfg_scale", r->cfg_scale, 0, 100, r->cfg_scale < 0},
                 {"cfg_to", r->cfg_to, 0, 1, r->cfg_to < 0},
                 {"flow_shift", r->flow_shift, 0.01, 100, r->flow_shift == 0},
                 {"window", (double)r->window, 1, 1000000, r->window == 0},
                 {"context", (double)r->context, 1, 1000000, r->context == 0},
                 {"anchor", (double)r->anchor, 0, 1000000, r->anchor < 0},
                 {"context_noise", r->context_noise, 0, 1, r->context_noise < 0},
                 {"seed", (double)r->seed, 0, 0x1p63, false}};
    for (size_t i = 0; i < sizeof field / sizeof *field; i++) {
        if (field[i].unset) continue;
        const reel_status status =
            check_range(env, field[i].name, field[i].value, field[i].least, field[i].most);
        if (status != REEL_OK) return status;
    }
    if (r->frames && r->seconds > 0)
        return reel_fail(env, REEL_E_ARG,
                         "frames and seconds are two ways to say one thing: give "
                         "one of them");
    return REEL_OK;
}

/* The channels of a model that takes a picture: its noise, which frames are known, and those. */
static reel_status check_condition(reel_env *env, const reel_folder *folder,
                                   const reel_generate_request *r) {
    const char *path = reel_folder_path(folder);
    const reel_wan_dit_config *dit =
        &reel_folder_config(folder, REEL_COMPONENT_TRANSFORMER)->transformer;
    const reel_component_config *clip = reel_folder_config(folder, REEL_COMPONENT_IMAGE_ENCODER);
    const int64_t factor =
        reel_wan_vae_factor_t(&reel_folder_config(folder, REEL_COMPONENT_VAE)->vae);
    const int64_t wanted = 2 * dit->out_channels + factor;
    if (dit->in_channels != wanted)
        return reel_fail(env, REEL_E_UNSUPPORTED,
                         "%s: its transformer takes %lld channels and gives %lld; reel shows "
                         "pictures to models that take %lld (Wan 2.1 and 2.2 I2V)",
                         path, (long long)dit->in_channels, (long long)dit->out_channels,
                         (long long)wanted);
    if (dit->image_dim && !clip)
        return reel_fail(env, REEL_E_UNSUPPORTED,
                         "%s: has no image_encoder, which its transformer needs", path);
    if (dit->image_dim && clip->image_encoder.hidden_size != dit->image_dim)
        return reel_fail(env, REEL_E_FORMAT,
                         "%s: its parts do not fit together: the transformer takes rows of an "
                         "image of %lld, the image encoder gives %lld",
                         path, (long long)dit->image_dim,
                         (long long)clip->image_encoder.hidden_size);
    if (r->task != REEL_TASK_ANIMATE)
        return reel_fail(env, REEL_E_UNSUPPORTED,
                         "%s: makes video from a picture, and none was given: use `reel animate "
                         "PICTURE`, or a text-to-video model",
                         path);
    return REEL_OK;
}

/* Two transformers take turns at one clip. */
static reel_status check_pair(reel_env *env, const reel_folder *folder) {
    const reel_component_config *second = reel_folder_config(folder, REEL_COMPONENT_TRANSFORMER_2);
    if (!second) return REEL_OK;
    const reel_wan_dit_config *a =
        &reel_folder_config(folder, REEL_COMPONENT_TRANSFORMER)->transformer;
    const reel_wan_dit_config *b = &second->transformer;
    bool same = a->in_channels == b->in_channels && a->out_channels == b->out_channels &&
                a->text_dim == b->text_dim && a->image_dim == b->image_dim;
    for (int i = 0; i < 3; i++)
        same = same && a->patch_size[i] == b->patch_size[i];
    if (same) return REEL_OK;
    return reel_fail(env, REEL_E_FORMAT,
                     "%s: its parts do not fit together: transformer and transformer_2 differ in "
                     "channels, patches or the width of text",
                     reel_folder_path(folder));
}

static reel_status check_folder(reel_env *env, const reel_folder *folder,
                                const reel_generate_request *r) {
    static const reel_component_kind needed[] = {REEL_COMPONENT_TRANSFORMER, REEL_COMPONENT_VAE,
                                                 REEL_COMPONENT_TEXT_ENCODER};
    const char *path = reel_folder_path(folder);
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!reel_folder_config(folder, needed[i]))
            return reel_fail(env, REEL_E_UNSUPPORTED, "%s: has no %s, which generation needs", path,
                             reel_component_name(needed[i]));
    if (!reel_folder_tokenizer(folder))
        return reel_fail(env, REEL_E_UNSUPPORTED,
                         "%s: has no tokenizer (tokenizer/spiece.model), which generation needs",
                         path);
    const reel_wan_dit_config *dit =
        &reel_folder_config(folder, REEL_COMPONENT_TRANSFORMER)->transformer;
    const reel_wan_vae_config *vae = &reel_folder_config(folder, REEL_COMPONENT_VAE)->vae;
    const reel_t5_config *t5 =
        &reel_folder_config(folder, REEL_COMPONENT_TEXT_ENCODER)->text_encoder;
    if (dit->out_channels != vae->z_dim || dit->text_dim != t5->d_model)
        return reel_fail(env, REEL_E_FORMAT,
                         "%s: its parts do not fit together: the transformer gives %lld channels "
                         "and takes text of %lld, the vae has %lld and the text encoder %lld",
                         path, (long long)dit->out_channels, (long long)dit->text_dim,
                         (long long)vae->z_dim, (long long)t5->d_model);
    if (reel_wan_dit_takes_picture(dit)) {
        const reel_status status = check_condition(env, folder, r);
        if (status != REEL_OK) return status;
    }
    return check_pair(env, folder);
}

/* ---- sizes ---- */

/* The multiple of unit nearest to x, at least one. */
static int64_t nearest(int64_t x, int64_t unit) {
    const int64_t n = (x + unit / 2) / unit;
    return (n ? n : 1) * unit;
}

static void set_size(const reel_folder *folder, const reel_generate_request *r, const reel_usual *d,
                     reel_settings *s) {
    const reel_wan_dit_config *dit =
        &reel_folder_config(folder, REEL_COMPONENT_TRANSFORMER)->transformer;
    const reel_wan_vae_config *vae = &reel_folder_config(folder, REEL_COMPONENT_VAE)->vae;
    const int64_t factor = reel_wan_vae_factor_s(vae);
    const int64_t unit_y = factor * dit->patch_size[1], unit_x = factor * dit->patch_size[2];
    const int64_t width = r->width ? r->width : d->width;
    const int64_t height = r->height ? r->height : d->height;
    s->width = nearest(width, unit_x);
    s->height = nearest(height, unit_y);
    if (s->width != width || s->height != height)
        reel_settings_note(s,
                           "size rounded from %lldx%lld to %lldx%lld: this model makes multiples "
                           "of %lldx%lld",
                           (long long)width, (long long)height, (long long)s->width,
                           (long long)s->height, (long long)unit_x, (long long)unit_y);
    s->w = s->width / factor;
    s->h = s->height / factor;
}

/* 23.976 and its like are what 24000/1001 is written as. */
static void set_fps(double fps, reel_settings *s) {
    const double ntsc = rint(fps) * 1000 / 1001;
    int num = (int)rint(fps * 1000), den = 1000;
    if (fabs(fps - ntsc) < 0.0006 && fabs(fps - rint(fps)) > 1e-9) {
        num = (int)rint(fps) * 1000;
        den = 1001;
    }
    for (int p = 2; p <= 5; p += 3)
        while (num % p == 0 && den % p == 0) {
            num /= p;
            den /= p;
        }
    s->fps_num = num;
    s->fps_den = den;
}

static reel_status set_length(reel_env *env, const reel_folder *folder,
                              const reel_generate_request *r, const reel_usual *d,
                              reel_settings *s) {
    const reel_wan_dit_config *dit =
        &reel_folder_config(folder, REEL_COMPONENT_TRANSFORMER)->transformer;
    const reel_wan_vae_config *vae = &reel_folder_config(folder, REEL_COMPONENT_VAE)->vae;
    set_fps(r->fps > 0 ? r->fps : d->fps, s);
    const int64_t factor = reel_wan_vae_factor_t(vae);
    const int64_t given = r->frames ? r->frames : d->frames;
    double frames = (double)given;
    if (r->seconds > 0) frames = rint(r->seconds * s->fps_num / s->fps_den);
    reel_status status = check_range(env, "seconds times fps", frames, 0, 1000000);
    if (status != REEL_OK) return status;
    if (frames < 1) frames = 1;
    const int64_t wanted = (int64_t)frames;
    s->F = 1 + (wanted - 1 + factor / 2) / factor;
    s->F = (s->F + dit->patch_size[0] - 1) / dit->patch_size[0] * dit->patch_size[0];
    s->frames = 1 + (s->F - 1) * factor;
    const int64_t step = factor * dit->patch_size[0];
    if (s->frames != wanted)
        reel_settings_note(s, "frames rounded from %lld to %lld: this model makes 1 + %lld k",
                           (long long)wanted, (long long)s->frames, (long long)step);
    return REEL_OK;
}

/* Latent frames of a length in frames: as many as lie in it whole, at least one. */
static int64_t latents_in(int64_t frames, int64_t factor) {
    return 1 + (frames - 1) / factor;
}

/* What was never asked for in one piece is: twice a model's own length, at least what 65 frames
 * are, comes out better at once than from two windows. */
static reel_status find_spans(reel_env *env, const reel_folder *folder,
                              const reel_generate_request *r, const reel_usual *d,
                              reel_spans *spans) {
    enum { LEAST_MOST = 65 };
    const int64_t factor =
        reel_wan_vae_factor_t(&reel_folder_config(folder, REEL_COMPONENT_VAE)->vae);
    const int64_t patch =
        reel_folder_config(folder, REEL_COMPONENT_TRANSFORMER)->transformer.patch_size[0];
    const int64_t own = latents_in(r->window ? r->window : d->frames, factor);
    const int64_t twice = latents_in(2 * d->frames - 1, factor);
    reel_spans s = {.factor = factor, .window = own < 2 ? 2 : own};
    s.window = (s.window + patch - 1) / patch * patch;
    s.most = r->window ? s.window : twice;
    if (!r->window && s.most < latents_in(LEAST_MOST, factor))
        s.most = latents_in(LEAST_MOST, factor);
    s.context = r->context ? latents_in(r->context, factor) : (s.window + 1) / 3;
    if (s.context < 1) s.context = 1;
    const int64_t anchor = r->anchor < 0 ? d->anchor : r->anchor;
    s.anchor = anchor ? latents_in(anchor, factor) : 0;
    if (r->anchor < 0 && s.context + s.anchor >= s.window) s.anchor = 0; /* nobody asked for it */
    if (!reel_folder_index(folder)->expand_timesteps) {
        if (r->window || r->context || r->anchor > 0)
            return reel_fail(env, REEL_E_UNSUPPORTED,
                             "%s: cannot be asked for windows: it takes one noise level for a "
                             "whole video, so nothing of the window before can be kept",
                             reel_folder_path(folder));
        s.most = INT64_MAX;
    }
    *spans = s;
    if (s.window > s.context + s.anchor) return REEL_OK;
    const long long frames[] = {1 + (s.window - 1) * factor, 1 + (s.context - 1) * factor,
                                s.anchor ? 1 + (s.anchor - 1) * factor : 0};
    return reel_fail(env, REEL_E_ARG,
                     "a window of %lld frames with %lld of context and %lld of anchor leaves "
                     "nothing to be made",
                     frames[0], frames[1], frames[2]);
}

reel_status reel_settings_spans(reel_env *env, const reel_folder *folder,
                                const reel_generate_request *r, reel_spans *spans) {
    reel_usual d;
    reel_status status = check(env, r);
    /* a folder that lacks them fails here; what else is wrong is better said by the task */
    if (status == REEL_OK && (!reel_folder_config(folder, REEL_COMPONENT_VAE) ||
                              !reel_folder_config(folder, REEL_COMPONENT_TRANSFORMER)))
        status = check_folder(env, folder, r);
    if (status == REEL_OK) status = of_folder(env, folder, &d);
    return status == REEL_OK ? find_spans(env, folder, r, &d, spans) : status;
}

/* ---- sampling ---- */

static reel_solver_type solver_of(const char *word) {
    static const char *const name[] = {"", "bh1", "bh2", "midpoint", "heun"};
    for (int i = 1; word && i < 5; i++)
        if (strcmp(word, name[i]) == 0) return (reel_solver_type)i;
    return REEL_SOLVER_DEFAULT;
}

/* What clips show needs no words: guidance away from them is one more way to leave them. */
static double guidance_of(const reel_generate_request *r, const reel_usual *d) {
    const bool goes_on = r->clip[0] && (r->task == REEL_TASK_EXTEND ||
                                        r->task == REEL_TASK_CONNECT || r->task == REEL_TASK_LOOP);
    if (r->cfg_scale >= 0) return r->cfg_scale;
    return goes_on && d->cfg_scale_clips > 0 ? d->cfg_scale_clips : d->cfg_scale;
}

static reel_status set_sampler(reel_env *env, const reel_folder *folder,
                               const reel_generate_request *r, const reel_usual *d,
                               reel_settings *s) {
    const reel_scheduler_config *c = reel_folder_scheduler(folder);
    if (!c->flow)
        return reel_fail(env, REEL_E_UNSUPPORTED,
                         "%s: its scheduler is no flow, which the Wan family uses",
                         reel_folder_path(folder));
    const char *name = r->sampler ? r->sampler : c->sampler;
    const reel_sampler_kind kind = reel_sampler_parse(name);
    if (kind == REEL_SAMPLER_COUNT || kind == REEL_SAMPLER_DDPM || kind == REEL_SAMPLER_DDIM)
        return reel_fail(env, REEL_E_ARG, "sampler is '%s', wanted unipc, euler, heun or dpm++2m",
                         name);
    s->sampler = reel_sampler_options_default(kind);
    s->sampler.schedule.num_train_timesteps = (int)c->num_train_timesteps;
    s->sampler.schedule.shift = r->flow_shift > 0 ? r->flow_shift : d->flow_shift;
    s->gives_sample = strcmp(c->prediction, "sample") == 0;
    s->sampler.n_steps = (int)(r->steps ? r->steps : d->steps);
    if (strcmp(name, c->sampler) == 0) { /* what is said of another solver is not for this one */
        if (kind == REEL_SAMPLER_UNIPC || kind == REEL_SAMPLER_DPMPP)
            s->sampler.order = (int)c->solver_order;
        s->sampler.solver_type = solver_of(c->solver_type);
        s->sampler.final_sigma_zero = c->final_sigma_zero;
    }
    s->guidance = (reel_guidance){.scale = guidance_of(r, d),
                                  .rescale = r->cfg_rescale,
                                  .from = r->cfg_from,
                                  .to = r->cfg_to >= 0  ? r->cfg_to
                                        : d->cfg_to > 0 ? d->cfg_to
                                                        : 1};
    return reel_guidance_check(env, &s->guidance);
}

static reel_status set_type(reel_env *env, const reel_generate_request *r, reel_settings *s) {
    s->type = r->type;
    s->weights = REEL_WEIGHTS_STORED;
    if (!r->type) return REEL_OK;
    if (strcmp(r->type, "f32") == 0)
        s->weights = REEL_WEIGHTS_F32;
    else if (strcmp(r->type, "bf16") == 0)
        s->weights = REEL_WEIGHTS_BF16;
    else if (strcmp(r->type, "q8_0") == 0)
        s->q8 = true;
    else
        return reel_fail(env, REEL_E_ARG, "type is '%s', wanted f32, bf16 or q8_0", r->type);
    return REEL_OK;
}

reel_status reel_settings_resolve(reel_env *env, const reel_folder *folder,
                                  const reel_generate_request *request, reel_settings *settings) {
    *settings = (reel_settings){0};
    reel_usual d;
    reel_status status = check(env, request);
    if (status == REEL_OK) status = check_folder(env, folder, request);
    if (status == REEL_OK) status = of_folder(env, folder, &d);
    if (status != REEL_OK) return status;
    settings->text_length = d.text_length;
    settings->of_world = d.world;
    settings->deblock = d.deblock;
    if (reel_folder_config(folder, REEL_COMPONENT_TRANSFORMER_2))
        settings->boundary = reel_folder_index(folder)->boundary_ratio;
    set_size(folder, request, &d, settings);
    status = find_spans(env, folder, request, &d, &settings->spans);
    settings->context_noise = request->context_noise < 0 ? d.context_noise : request->context_noise;
    if (status == REEL_OK) status = set_length(env, folder, request, &d, settings);
    if (status == REEL_OK) status = set_sampler(env, folder, request, &d, settings);
    if (status == REEL_OK) status = set_type(env, request, settings);
    return status;
}
