/* A model folder as an evaluation uses it: opened once, asked many times.
 *
 * Unlike the pipeline (pipeline/generate.h), which makes one video in as little memory as it can,
 * this keeps every part open and hands out what a measurement needs: pixels, latents, and the
 * error of one prediction. A folder with nothing but vae/ is enough for the autoencoder's part.
 *
 * Letters: z latent channels; f h w latent grid, F H W pixels.
 */
#ifndef REEL_EVAL_MODEL_H
#define REEL_EVAL_MODEL_H

#include "data/buckets.h"
#include "tape/op.h"

typedef struct reel_eval_model_options {
    const char *folder;
    const reel_kernel_table *table; /* borrowed while the model is open */
    reel_bucket size;    /* of the clips: sides multiples of the model's, frames 1 + k factor_t */
    int64_t steps;       /* of the sampler */
    double cfg_scale;    /* 1: no guidance; negative: the model's own */
    int64_t text_length; /* rows of text the transformer sees; 0: as the folder says */
} reel_eval_model_options;

typedef struct reel_eval_model reel_eval_model;

/* REEL_E_IO, REEL_E_FORMAT, REEL_E_UNSUPPORTED; REEL_E_ARG when the size does not fit. The caller
 * closes it. */
REEL_MUST_USE reel_status reel_eval_model_open(reel_env *env,
                                               const reel_eval_model_options *options,
                                               reel_eval_model **model);
void reel_eval_model_close(reel_eval_model **model);

/* Whether it can make video from text, or is an autoencoder alone. */
bool reel_eval_model_generates(const reel_eval_model *model);
/* Edge of a latent in pixels. */
int64_t reel_eval_model_factor_s(const reel_eval_model *model);
/* Frames of a latent frame behind the first. */
int64_t reel_eval_model_factor_t(const reel_eval_model *model);
/* Elements of a clip's latents: z f h w. */
int64_t reel_eval_model_latents(const reel_eval_model *model);

/* Makes a clip of a prompt: rgb u8 [F,H,W,3]. The same seed, the same bytes. */
REEL_MUST_USE reel_status reel_eval_model_generate(reel_eval_model *model, const char *prompt,
                                                   uint64_t seed, uint8_t *rgb);

/* A clip's normalised latents (the mean) [z,f,h,w], and the clip that latents decode to. */
REEL_MUST_USE reel_status reel_eval_model_encode(reel_eval_model *model, const uint8_t *rgb,
                                                 float *latents);
REEL_MUST_USE reel_status reel_eval_model_decode(reel_eval_model *model, const float *latents,
                                                 uint8_t *rgb);

/* The mean squared error of the predicted velocity of x = (1 - t) latents + t eps under a prompt,
 * eps - latents being true; eps normal numbers of (seed, stream "eval noise"). */
REEL_MUST_USE reel_status reel_eval_model_error(reel_eval_model *model, const float *latents,
                                                const char *prompt, double t, uint64_t seed,
                                                double *error);

/* What the x0 is off by that is predicted of a clip: error [z,f,h,w], of the latents of rgb u8
 * [F,H,W,3] under a prompt; t and seed as above. */
REEL_MUST_USE reel_status reel_eval_model_mistake(reel_eval_model *model, const uint8_t *rgb,
                                                  const char *prompt, double t, uint64_t seed,
                                                  float *error);

#endif
