#include "pipeline/stereo.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/json_out.h"
#include "base/sweep.h"
#include "media/stereo.h"
#include "media/video_reader.h"
#include "media/video_writer.h"
#include "models/wan/vae_stream.h"
#include "zoo/cache.h"
#include "zoo/depth.h"

enum { STRETCH = 32 /* latent frames whose depth is looked for at once */ };
static const char tag[] = "stereo";
static const float white = 0.8f; /* the nearness that is white in a depth video */

typedef struct run {
    reel_env *env;
    const reel_stereo_request *request;
    const reel_backend *backend;
    reel_event_fn *on_event;
    reel_cancel_fn *cancel;
    void *context;
    double start_s;

    reel_folder *folder;
    reel_component *vae;
    reel_depth_model *depth;
    reel_wan_vae_stream *encoder;
    int64_t z, factor_t, factor_s;

    reel_video_reader *ahead;  /* what is encoded */
    reel_video_reader *frames; /* what is seen */
    reel_video_writer *both, *grey;
    int width, height;  /* of the clip */
    int64_t wide, tall; /* the same, rounded up to what the autoencoder takes */
    int64_t n_frames;   /* of the clip */
    int64_t n_latents;
    int64_t n_read; /* frames `ahead` has given */

    /* Latents [first, first + n) of the clip, each [z,h,w]. */
    float *latents;
    int64_t first, n, room;
    float *stretch; /* the same as [z,n,h,w] */

    uint8_t *pixels;             /* [H,W,3]: the frame read last by `ahead` */
    float *piece;                /* [factor_t,tall,wide,3]: frames for the encoder */
    uint8_t *left, *right, *out; /* [H,W,3], [H,W,3], [H,2W,3] */
    float *nearness;             /* [H,W] */
    int64_t n_written;
} run;

/* ---- telling ---- */

static void tell(run *r, reel_event_kind kind, const char *text, int64_t done, int64_t total) {
    if (!r->on_event) return;
    const double gone = reel_clock_s() - r->start_s;
    const reel_event event = {.kind = kind,
                              .text = text,
                              .done = done,
                              .total = total,
                              .elapsed_s = gone,
                              .left_s = done ? gone / (double)done * (double)(total - done) : -1};
    r->on_event(r->context, &event);
}

static reel_status tick(run *r) {
    if (!r->cancel || !r->cancel(r->context)) return REEL_OK;
    return reel_fail(r->env, REEL_E_CANCELLED, "stopped; nothing was written");
}

/* ---- frames for the encoder ---- */

/* The pixels of the frame read last as [tall,wide,3] in [-1,1], borders repeated. */
static void put_frame(const run *r, float *to) {
    for (int64_t y = 0; y < r->tall; y++) {
        const uint8_t *row =
            r->pixels + 3 * r->width * (y < r->height ? y : (int64_t)r->height - 1);
        for (int64_t x = 0; x < r->wide; x++)
            for (int c = 0; c < 3; c++)
                *to++ = (float)row[3 * (x < r->width ? x : (int64_t)r->width - 1) + c] *
                            (2.0f / 255.0f) -
                        1.0f;
    }
}

/* The next n frames; the last one of the clip holds. */
static reel_status read_piece(run *r, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        bool got = true;
        if (r->n_read < r->n_frames) {
            const reel_status status = reel_video_reader_next(r->ahead, r->pixels, &got);
            if (status != REEL_OK) return status;
            r->n_read++;
        }
        if (!got)
            return reel_fail(r->env, REEL_E_FORMAT, "%s: ends after %lld frames, wanted %lld",
                             r->request->clip, (long long)r->n_read - 1, (long long)r->n_frames);
        put_frame(r, r->piece + i * 3 * r->wide * r->tall);
    }
    return REEL_OK;
}

static int64_t latent_elements(const run *r) {
    return r->z * (r->tall / r->factor_s) * (r->wide / r->factor_s);
}

/* Encodes the clip's next latent frame behind those that are held. */
static reel_status encode_one(run *r) {
    const int64_t at = r->first + r->n;
    reel_status status = read_piece(r, at ? r->factor_t : 1);
    if (status != REEL_OK) return status;
    status = reel_wan_vae_encoder_push(r->encoder, r->piece, r->latents + r->n * latent_elements(r),
                                       NULL, latent_elements(r) / r->z);
    r->n++;
    return status == REEL_OK ? tick(r) : status;
}

/* ---- views ---- */

static reel_status push_stereo(run *r) {
    const reel_stereo_request *o = r->request;
    const float half = 0.5f * (float)(r->width < r->height ? r->width : r->height);
    const float gain = (float)o->eyes_m * half;
    const reel_view_shift shift = {gain, gain * (float)o->screen};
    const reel_status status =
        reel_view_draw(r->env, r->left, r->nearness, r->width, r->height, shift, r->right);
    if (status != REEL_OK) return status;
    if (o->kind == REEL_STEREO_SBS)
        reel_side_by_side(r->left, r->right, r->width, r->height, r->out);
    else
        reel_anaglyph(r->left, r->right, (int64_t)r->width * r->height, r->out);
    return reel_video_writer_push(r->both, r->out);
}

/* The next frame of the clip with its nearness [tall,wide]. */
static reel_status write_frame(run *r, const float *nearness) {
    bool got;
    for (int y = 0; y < r->height; y++)
        memcpy(r->nearness + (int64_t)y * r->width, nearness + y * r->wide,
               (size_t)r->width * sizeof *nearness);
    reel_status status = reel_video_reader_next(r->frames, r->left, &got);
    if (status == REEL_OK && !got)
        status = reel_fail(r->env, REEL_E_FORMAT, "%s: ends after %lld frames, wanted %lld",
                           r->request->clip, (long long)r->n_written, (long long)r->n_frames);
    if (status == REEL_OK && r->both) status = push_stereo(r);
    if (status == REEL_OK && r->grey) {
        reel_nearness_grey(r->nearness, (int64_t)r->width * r->height, white, r->out);
        status = reel_video_writer_push(r->grey, r->out);
    }
    r->n_written++;
    tell(r, REEL_EVENT_FRAMES, NULL, r->n_written, r->n_frames);
    return status == REEL_OK ? tick(r) : status;
}

/* ---- stretches ---- */

/* Frames of a stretch come numbered from its own first latent frame, which is r->first. */
typedef struct stretch {
    run *r;
    int64_t end; /* latent frames up to here are wanted */
} stretch;

/* The first frame of latent frame i of a clip. */
static int64_t frame_of(const run *r, int64_t i) {
    return i ? 1 + (i - 1) * r->factor_t : 0;
}

static reel_status take(void *context, int64_t first, int64_t n, const float *nearness) {
    const stretch *s = context;
    run *r = s->r;
    /* only at the clip's beginning is a stretch's first latent frame one frame of video */
    const int64_t base = r->first ? frame_of(r, r->first) + r->factor_t - 1 : 0;
    const int64_t end = frame_of(r, s->end);
    reel_status status = REEL_OK;
    for (int64_t i = 0; i < n && status == REEL_OK; i++) {
        const int64_t frame = base + first + i;
        if (frame < r->n_written || frame >= end || frame >= r->n_frames) continue;
        status = write_frame(r, nearness + i * r->wide * r->tall);
    }
    return status;
}

/* Looks for the depth of the latents that are held, up to latent frame `end` of the clip, then
 * forgets all but those the next stretch has to see too. */
static reel_status look(run *r, int64_t end, int64_t margin) {
    const int64_t frame = latent_elements(r) / r->z, h = r->tall / r->factor_s;
    for (int64_t i = 0; i < r->n; i++)
        for (int64_t c = 0; c < r->z; c++)
            memcpy(r->stretch + (c * r->n + i) * frame, r->latents + (i * r->z + c) * frame,
                   (size_t)frame * sizeof *r->stretch);
    stretch s = {.r = r, .end = end};
    const reel_status status = reel_depth_run(r->depth, r->stretch, r->n, h, frame / h, take, &s);
    /* one more than the margin: the first of a stretch gives no whole set of frames */
    const int64_t keep = end - margin - 1 > r->first ? end - margin - 1 : r->first;
    memmove(r->latents, r->latents + (keep - r->first) * latent_elements(r),
            (size_t)((r->first + r->n - keep) * latent_elements(r)) * sizeof *r->latents);
    r->n -= keep - r->first;
    r->first = keep;
    return status;
}

static reel_status make(run *r) {
    const int64_t margin = reel_depth_config_of(r->depth)->blocks;
    reel_status status = REEL_OK;
    tell(r, REEL_EVENT_PHASE, "depth", 0, r->n_frames);
    reel_wan_vae_stream_begin(r->encoder);
    for (int64_t end = 0; end < r->n_latents && status == REEL_OK;) {
        end = end + STRETCH < r->n_latents ? end + STRETCH : r->n_latents;
        const int64_t need = end + margin < r->n_latents ? end + margin : r->n_latents;
        while (r->first + r->n < need && status == REEL_OK)
            status = encode_one(r);
        if (status == REEL_OK) status = look(r, end, margin);
    }
    return status;
}

/* ---- opening ---- */

static reel_status check_eyes(reel_env *env, const reel_stereo_request *o) {
    if (!(o->eyes_m >= 0 && o->eyes_m <= 10))
        return reel_fail(env, REEL_E_ARG, "eyes are %g m apart, wanted 0 to 10", o->eyes_m);
    if (!(o->screen >= 0 && o->screen <= 10))
        return reel_fail(env, REEL_E_ARG, "the screen is at nearness %g, wanted 0 to 10",
                         o->screen);
    return REEL_OK;
}

static reel_status check(reel_env *env, const reel_stereo_request *o) {
    if (!o->clip) return reel_fail(env, REEL_E_ARG, "no clip was given");
    if (!o->output && !o->depth_output)
        return reel_fail(env, REEL_E_ARG, "no file to write was named");
    return check_eyes(env, o);
}

static reel_status open_model(run *r) {
    reel_arena arena;
    const char *path;
    reel_arena_init(&arena, r->env, 4096, tag);
    reel_status status =
        reel_cache_find(r->env, r->request->cache_root, r->request->model, &arena, &path);
    if (status == REEL_OK) status = reel_folder_open(r->env, path, &r->folder);
    reel_arena_deinit(&arena);
    if (status == REEL_OK)
        status = reel_folder_depth(r->env, r->folder, r->backend->table, &r->depth);
    if (status == REEL_OK)
        status = reel_folder_component(r->folder, REEL_COMPONENT_VAE, REEL_WEIGHTS_STORED, &r->vae);
    if (status != REEL_OK) return status;
    const reel_depth_config *c = reel_depth_config_of(r->depth);
    r->z = c->z_dim;
    r->factor_t = c->factor_t;
    r->factor_s = c->factor_s;
    return REEL_OK;
}

static reel_status open_clip(run *r) {
    reel_status status = reel_video_reader_open(r->env, r->request->clip, NULL, &r->ahead);
    if (status == REEL_OK)
        status = reel_video_reader_open(r->env, r->request->clip, NULL, &r->frames);
    if (status == REEL_OK) status = reel_video_reader_count(r->ahead, &r->n_frames);
    if (status != REEL_OK) return status;
    if (r->n_frames < 1)
        return reel_fail(r->env, REEL_E_FORMAT, "%s: has no frames", r->request->clip);
    reel_video_reader_size(r->ahead, &r->width, &r->height);
    r->wide = (r->width + r->factor_s - 1) / r->factor_s * r->factor_s;
    r->tall = (r->height + r->factor_s - 1) / r->factor_s * r->factor_s;
    r->n_latents = 1 + (r->n_frames - 1 + r->factor_t - 1) / r->factor_t;
    return REEL_OK;
}

static reel_status open_encoder(run *r) {
    const reel_wan_vae_config *c = &r->vae->config.vae;
    reel_dtype compute = REEL_F32;
    for (int i = 0; i < reel_params_count(r->vae->params); i++)
        if (reel_params_at(r->vae->params, i)->dtype == REEL_BF16) compute = REEL_BF16;
    const reel_wan_vae_stream_options o = {.params = r->vae->params,
                                           .table = r->backend->table,
                                           .compute = compute,
                                           .height = r->tall,
                                           .width = r->wide};
    return reel_wan_vae_encoder_open(r->env, c, &o, &r->encoder);
}

static reel_status take_memory(run *r) {
    const int64_t margin = reel_depth_config_of(r->depth)->blocks;
    const int64_t frame = (int64_t)r->width * r->height;
    r->room = STRETCH + 2 * margin + 1;
    if (r->room > r->n_latents) r->room = r->n_latents;
    r->latents = reel_calloc(r->env, r->room * latent_elements(r), sizeof *r->latents, tag);
    r->stretch = reel_calloc(r->env, r->room * latent_elements(r), sizeof *r->stretch, tag);
    r->pixels = reel_calloc(r->env, frame, 3, tag);
    r->piece = reel_calloc(r->env, r->factor_t * r->wide * r->tall * 3, sizeof *r->piece, tag);
    r->left = reel_calloc(r->env, frame, 3, tag);
    r->right = reel_calloc(r->env, frame, 3, tag);
    r->out = reel_calloc(r->env, frame, 6, tag);
    r->nearness = reel_calloc(r->env, frame, sizeof *r->nearness, tag);
    return r->latents && r->stretch && r->pixels && r->piece && r->left && r->right && r->out &&
                   r->nearness
               ? REEL_OK
               : REEL_E_NOMEM;
}

/* ---- files ---- */

/* How the file was made: this, and what the clip says of itself. */
static void write_provenance(const run *r, bool is_depth, reel_json_out *out) {
    const reel_stereo_request *o = r->request;
    const char *comment = reel_video_reader_info(r->frames).comment;
    reel_json_out_object_begin(out);
    reel_json_out_key(out, "generator");
    reel_json_out_string(out, "reel");
    reel_json_out_key(out, "version");
    reel_json_out_string(out, reel_version());
    reel_json_out_key(out, "task");
    reel_json_out_string(out, is_depth ? "depth" : "stereo");
    reel_json_out_key(out, "model");
    reel_json_out_string(out, o->model);
    reel_json_out_key(out, "depth_latents");
    reel_json_out_string(out, reel_depth_config_of(r->depth)->latents);
    if (is_depth) {
        reel_json_out_key(out, "white");
        reel_json_out_f32(out, white);
    } else {
        reel_json_out_key(out, "stereo");
        reel_json_out_string(out, o->kind == REEL_STEREO_SBS ? "sbs" : "anaglyph");
        reel_json_out_key(out, "eyes_m");
        reel_json_out_real(out, o->eyes_m);
        reel_json_out_key(out, "screen");
        reel_json_out_real(out, o->screen);
    }
    reel_json_out_key(out, "isa");
    reel_json_out_string(out, r->backend->isa);
    reel_json_doc *doc;
    if (comment &&
        reel_json_parse(r->env, comment, (int64_t)strlen(comment), "comment", &doc) == REEL_OK) {
        reel_json_free(&doc);
        reel_json_out_key(out, "of");
        reel_json_out_json(out, comment);
    } else if (comment) { /* words of somebody's own */
        reel_env_clear(r->env);
        reel_json_out_key(out, "of");
        reel_json_out_string(out, comment);
    }
    reel_json_out_end(out);
}

static reel_status open_writer(run *r, const char *path, bool is_depth,
                               reel_video_writer **writer) {
    if (!path) return REEL_OK;
    const reel_video_info info = reel_video_reader_info(r->frames);
    const bool wide = !is_depth && r->request->kind == REEL_STEREO_SBS;
    reel_video_options o = reel_video_options_default();
    o.width = wide ? 2 * r->width : r->width;
    o.height = r->height;
    if (!info.is_picture) o.fps = info.fps;
    reel_json_out out;
    reel_json_out_init(&out, r->env);
    write_provenance(r, is_depth, &out);
    int64_t bytes;
    reel_status status = reel_json_out_text(&out, &o.comment, &bytes);
    if (status == REEL_OK) {
        reel_sweep(path);
        status = reel_video_writer_open(r->env, path, &o, writer);
    }
    reel_json_out_deinit(&out);
    return status;
}

static reel_status finish(run *r, reel_video_writer *writer, const char *path) {
    if (!writer) return REEL_OK;
    const reel_status status = reel_video_writer_finish(writer);
    if (status == REEL_OK) tell(r, REEL_EVENT_DONE, path, r->n_frames, r->n_frames);
    return status;
}

static reel_status run_all(run *r) {
    const reel_stereo_request *o = r->request;
    reel_status status = check(r->env, o);
    if (status == REEL_OK) status = open_model(r);
    if (status == REEL_OK) status = open_clip(r);
    if (status == REEL_OK) status = open_encoder(r);
    if (status == REEL_OK) status = take_memory(r);
    if (status == REEL_OK) status = open_writer(r, o->output, false, &r->both);
    if (status == REEL_OK) status = open_writer(r, o->depth_output, true, &r->grey);
    if (status == REEL_OK) status = make(r);
    if (status == REEL_OK) status = finish(r, r->both, o->output);
    return status == REEL_OK ? finish(r, r->grey, o->depth_output) : status;
}

static void close_all(run *r) {
    reel_video_writer_close(&r->both);
    reel_video_writer_close(&r->grey);
    reel_video_reader_close(&r->ahead);
    reel_video_reader_close(&r->frames);
    reel_wan_vae_stream_close(&r->encoder);
    reel_component_close(&r->vae);
    reel_depth_close(&r->depth);
    reel_folder_close(&r->folder);
    void *const memory[] = {r->latents, r->stretch, r->pixels, r->piece,
                            r->left,    r->right,   r->out,    r->nearness};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        reel_free(r->env, memory[i]);
    reel_free(r->env, r);
}

reel_status reel_stereo_run(reel_env *env, const reel_stereo_request *request,
                            const reel_backend *backend, reel_event_fn *on_event,
                            reel_cancel_fn *cancel, void *context) {
    run *r = reel_calloc(env, 1, sizeof *r, tag);
    if (!r) return REEL_E_NOMEM;
    *r = (run){.env = env,
               .request = request,
               .backend = backend,
               .on_event = on_event,
               .cancel = cancel,
               .context = context,
               .start_s = reel_clock_s()};
    const reel_status status = run_all(r);
    close_all(r);
    return status;
}

reel_status reel_stereo_look(reel_env *env, const reel_stereo_request *request,
                             const reel_backend *backend) {
    run *r = reel_calloc(env, 1, sizeof *r, tag);
    if (!r) return REEL_E_NOMEM;
    *r = (run){.env = env, .request = request, .backend = backend};
    reel_status status = check_eyes(env, request);
    if (status == REEL_OK) status = open_model(r);
    close_all(r);
    return status;
}
