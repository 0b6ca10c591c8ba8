/* Settings: a request and a model folder, resolved into what is going to be made.
 *
 * Defaults come from the folder: sampler and shift from its scheduler's config, size, length and
 * steps from the object "_reel" of its model_index.json where there is one, else from what the
 * family ships with. Sizes a model cannot make are rounded, and a note says so.
 */
#ifndef REEL_PIPELINE_SETTINGS_H
#define REEL_PIPELINE_SETTINGS_H

#include "base/env.h"
#include "diffusion/guidance.h"
#include "diffusion/sampler.h"
#include "zoo/folder.h"

enum { REEL_MAX_NOTES = 12, REEL_NOTE_BYTES = 320 };

/* Of a canvas' length, in latent frames: what is made at once, and what of it is known when there
 * is more. */
typedef struct reel_spans {
    int64_t factor;  /* frames of a latent frame behind the first */
    int64_t most;    /* a canvas up to this is made at once; any, by a model of one noise level */
    int64_t window;  /* a longer one so many at a time, of which */
    int64_t anchor;  /* are the beginning of the first window, */
    int64_t context; /* and the end of the one before: both together fewer than the window */
} reel_spans;

typedef struct reel_settings {
    int64_t width, height, frames; /* multiples of what the model makes */
    int fps_num, fps_den;
    int64_t F, h, w;  /* of the latents */
    reel_spans spans; /* F is at most spans.most, or made in windows */
    double context_noise;
    int64_t text_length; /* rows of text the transformer sees */
    reel_sampler_options sampler;
    bool gives_sample; /* the transformer's output is x0, which becomes a velocity at once */
    reel_guidance guidance;
    double
        boundary; /* the level, of 1, below which the second transformer works; 0: there is one */
    reel_weights_as weights; /* of text encoder and transformer */
    const char *type;        /* as asked for; NULL: as stored */
    bool of_world;           /* the folder says its model knows reel's own world and no more */
    bool q8;                 /* the transformer's linear weights become 8-bit blocks */
    /* How the decoder's frames are cut, into bands or into tiles (height first, in pixels; 0: the
     * frame as a whole), and the encoder's where pictures are shown beside the latents. Set by the
     * prediction of memory, from the request alone: what is free at the moment must not change
     * bytes. */
    int64_t n_bands;
    int64_t tile[2], stride[2];
    double deblock; /* of the folder: the share of pipeline/deblock.h that its pictures get */
    int64_t encode_tile[2], encode_stride[2];
    int n_notes;
    char note[REEL_MAX_NOTES][REEL_NOTE_BYTES];
} reel_settings;

/* Resolves. Fails with REEL_E_ARG naming the field that is out of range, REEL_E_UNSUPPORTED when
 * the folder lacks a part or takes a picture and the task has none, REEL_E_FORMAT for a broken
 * "_reel" and for parts that do not fit together. */
REEL_MUST_USE reel_status reel_settings_resolve(reel_env *env, const reel_folder *folder,
                                                const reel_generate_request *request,
                                                reel_settings *settings);

/* The spans a request asks for, or the model's. REEL_E_ARG when nothing of a window is left to be
 * made. */
REEL_MUST_USE reel_status reel_settings_spans(reel_env *env, const reel_folder *folder,
                                              const reel_generate_request *request,
                                              reel_spans *spans);

/* Adds a sentence to the notes; those beyond the last are dropped. */
void reel_settings_note(reel_settings *settings, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
